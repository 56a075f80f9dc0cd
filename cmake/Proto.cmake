# From .proto to C, at build time: protobuf-c for every message, nanopb for those that the sensor handles in
# memory of a fixed size, and one FileDescriptorSet with all imports. Nothing generated is committed.

find_program(PROTOC protoc REQUIRED)
find_program(PROTOC_GEN_C protoc-gen-c REQUIRED)
find_program(PROTOC_GEN_NANOPB protoc-gen-nanopb REQUIRED)
find_path(WELL_KNOWN_PROTO_DIR google/protobuf/timestamp.proto REQUIRED)
find_path(NANOPB_INCLUDE_DIR pb_decode.h REQUIRED)
find_library(NANOPB_LIBRARY protobuf-nanopb REQUIRED)
pkg_check_modules(PROTOBUF_C REQUIRED IMPORTED_TARGET GLOBAL libprotobuf-c)

# proto_generate(ROOT dir C a.proto ... NANOPB b.proto ... SET file.binpb SET_FILES c.proto ...)
#
# Paths are relative to ROOT or to the directory of the well-known types. Afterwards PROTO_GENERATED_SOURCES
# and PROTO_GENERATED_HEADERS are set. nanopb finds its limits in b.options beside b.proto.
function(proto_generate)
    cmake_parse_arguments(P "" "ROOT;SET" "C;NANOPB;SET_FILES" ${ARGN})
    set(out ${PROJECT_BINARY_DIR}/generated)
    file(MAKE_DIRECTORY ${out}) # protoc makes the directories below it, but not the first

    set(sources)
    set(headers)
    set(depends)
    foreach(file IN LISTS P_C P_NANOPB P_SET_FILES)
        if(EXISTS ${P_ROOT}/${file})
            list(APPEND depends ${P_ROOT}/${file})
        endif()
    endforeach()
    foreach(file IN LISTS P_C)
        string(REGEX REPLACE "\\.proto$" "" stem ${file})
        list(APPEND sources ${out}/${stem}.pb-c.c)
        list(APPEND headers ${out}/${stem}.pb-c.h)
    endforeach()
    set(c_outputs ${sources} ${headers})
    set(nanopb_outputs)
    foreach(file IN LISTS P_NANOPB)
        string(REGEX REPLACE "\\.proto$" "" stem ${file})
        list(APPEND nanopb_outputs ${out}/${stem}.pb.c ${out}/${stem}.pb.h)
        list(APPEND sources ${out}/${stem}.pb.c)
        list(APPEND headers ${out}/${stem}.pb.h)
        if(EXISTS ${P_ROOT}/${stem}.options)
            list(APPEND depends ${P_ROOT}/${stem}.options)
        endif()
    endforeach()
    list(REMOVE_DUPLICATES depends)

    set(paths -I ${P_ROOT} -I ${WELL_KNOWN_PROTO_DIR})
    add_custom_command(OUTPUT ${c_outputs} ${P_SET}
        COMMAND ${PROTOC} --plugin=protoc-gen-c=${PROTOC_GEN_C} ${paths} --c_out=${out} ${P_C}
        COMMAND ${PROTOC} ${paths} --include_imports --include_source_info --descriptor_set_out=${P_SET} ${P_SET_FILES}
        DEPENDS ${depends} VERBATIM COMMENT "protobuf-c and descriptors from proto/")
    add_custom_command(OUTPUT ${nanopb_outputs}
        COMMAND ${PROTOC} --plugin=protoc-gen-nanopb=${PROTOC_GEN_NANOPB} ${paths}
                --nanopb_opt=-I${P_ROOT} --nanopb_out=${out} ${P_NANOPB}
        DEPENDS ${depends} VERBATIM COMMENT "nanopb from proto/")
    set(PROTO_GENERATED_SOURCES ${sources} PARENT_SCOPE)
    set(PROTO_GENERATED_HEADERS ${headers} PARENT_SCOPE)
endfunction()
