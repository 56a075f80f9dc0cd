# Web pages into the program: built by npm in the build tree, embedded by .incbin, never written to the source tree.

option(NETSCOPE_DASHBOARD "build the dashboard (needs node >= 18 and npm); OFF embeds one plain page instead" ON)

set(NETSCOPE_PYTHON /usr/bin/python3)

# embed_assets(NAME SYMBOL name FOLDER dir DEPENDS files...): a static library with
# `const struct http_asset SYMBOL[]` and SYMBOL_count, made from FOLDER/manifest.txt.
function(embed_assets name)
    cmake_parse_arguments(A "" "SYMBOL;FOLDER" "DEPENDS" ${ARGN})
    set(table ${CMAKE_CURRENT_BINARY_DIR}/${name}_assets)
    add_custom_command(
        OUTPUT ${table}.S ${table}.c
        COMMAND ${NETSCOPE_PYTHON} ${PROJECT_SOURCE_DIR}/cmake/embed_assets.py
                ${A_FOLDER} ${A_SYMBOL} ${table}.S ${table}.c
        DEPENDS ${PROJECT_SOURCE_DIR}/cmake/embed_assets.py ${A_DEPENDS}
        COMMENT "Embedding ${A_SYMBOL}" VERBATIM)
    # The assembler file does not show what it includes: its object is made anew when the table is.
    set_source_files_properties(${table}.S PROPERTIES OBJECT_DEPENDS "${A_DEPENDS}")
    module(${name} SOURCES ${table}.c ${table}.S)
endfunction()

# npm_assets(NAME SYMBOL name SOURCE dir): as embed_assets, after `npm ci` and `node build.mjs` over a
# copy of SOURCE in the build tree.
function(npm_assets name)
    cmake_parse_arguments(N "" "SYMBOL;SOURCE" "" ${ARGN})
    find_program(NETSCOPE_NODE node)
    find_program(NETSCOPE_NPM npm)
    if(NOT NETSCOPE_NODE OR NOT NETSCOPE_NPM)
        message(FATAL_ERROR
            "The dashboard is built by node and npm, and they are not there.\n"
            "Install them (apt-get install nodejs npm), or leave the dashboard out: -DNETSCOPE_DASHBOARD=OFF")
    endif()
    set(work ${CMAKE_CURRENT_BINARY_DIR}/npm)
    set(out ${CMAKE_CURRENT_BINARY_DIR}/dist)
    file(GLOB_RECURSE pages CONFIGURE_DEPENDS ${N_SOURCE}/src/*)
    set(tools ${N_SOURCE}/build.mjs ${N_SOURCE}/tsconfig.json)
    set(packages ${N_SOURCE}/package.json ${N_SOURCE}/package-lock.json)
    add_custom_command(
        OUTPUT ${work}/packages.stamp
        COMMAND ${CMAKE_COMMAND} -E make_directory ${work}
        COMMAND ${CMAKE_COMMAND} -E copy ${packages} ${work}
        COMMAND ${NETSCOPE_NPM} ci --ignore-scripts --no-audit --no-fund --prefer-offline
        COMMAND ${CMAKE_COMMAND} -E touch ${work}/packages.stamp
        WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/npm
        DEPENDS ${packages}
        COMMENT "Fetching the npm packages of ${name}" VERBATIM)
    add_custom_command(
        OUTPUT ${out}/manifest.txt
        COMMAND ${CMAKE_COMMAND} -E rm -rf ${work}/src ${out}
        COMMAND ${CMAKE_COMMAND} -E copy_directory ${N_SOURCE}/src ${work}/src
        COMMAND ${CMAKE_COMMAND} -E copy ${tools} ${packages} ${work}
        COMMAND ${NETSCOPE_NODE} build.mjs ${out}
        WORKING_DIRECTORY ${work}
        DEPENDS ${work}/packages.stamp ${pages} ${tools}
        COMMENT "Bundling ${name}" VERBATIM)
    file(MAKE_DIRECTORY ${work})
    embed_assets(${name} SYMBOL ${N_SYMBOL} FOLDER ${out} DEPENDS ${out}/manifest.txt)
endfunction()
