# THIRD_PARTY_NOTICES in the build tree: what the programs link and the dashboard embeds, with licences.
set(programs)
foreach(name netscope-sensor netscope-collector netscopectl)
    if(TARGET ${name})
        list(APPEND programs ${name})
    endif()
endforeach()
if(programs)
    set(files)
    foreach(name IN LISTS programs)
        list(APPEND files $<TARGET_FILE:${name}>)
    endforeach()
    add_custom_command(
        OUTPUT ${PROJECT_BINARY_DIR}/THIRD_PARTY_NOTICES
        COMMAND /usr/bin/python3 ${PROJECT_SOURCE_DIR}/cmake/third_party_notices.py
                ${PROJECT_BINARY_DIR}/THIRD_PARTY_NOTICES
                ${PROJECT_BINARY_DIR}/collector-ui/dashboard/npm/node_modules ${files}
        DEPENDS ${programs} ${PROJECT_SOURCE_DIR}/cmake/third_party_notices.py
        COMMENT "Gathering licences" VERBATIM)
    add_custom_target(third_party_notices ALL DEPENDS ${PROJECT_BINARY_DIR}/THIRD_PARTY_NOTICES)
endif()
