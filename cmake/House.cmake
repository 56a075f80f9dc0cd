# The rules of the house: how a room (a folder) becomes a library, a program, a test.

find_package(PkgConfig REQUIRED)

option(NETSCOPE_WERROR "warnings are errors" OFF)
set(NETSCOPE_FUZZ OFF CACHE STRING "build the fuzz targets: ON (libFuzzer, Clang), or replay (programs that run files)")
option(NETSCOPE_COVERAGE "count which lines run (gcov)" OFF)
set(NETSCOPE_SANITIZE "" CACHE STRING "value of -fsanitize=")
option(NETSCOPE_LTO "optimize programs as a whole when they are linked (GCC)" OFF)

find_program(CCACHE ccache)
if(CCACHE)
    set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")

# Flags of our own code; generated and third-party code gets house_build alone.
add_library(house_build INTERFACE)
target_compile_definitions(house_build INTERFACE _GNU_SOURCE NETSCOPE_VERSION="${PROJECT_VERSION}")
target_include_directories(house_build INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/generated)
target_compile_options(house_build INTERFACE -fno-common -fstack-protector-strong)
# Two words that were stored one by one and are read as one vector wait for each other (docs/performance.md).
target_compile_options(house_build INTERFACE $<$<C_COMPILER_ID:GNU>:-fno-tree-slp-vectorize>)
target_link_libraries(house_build INTERFACE m pthread)
# Objects hold both forms, for unit tests, of which there are hundreds, are linked in the plain way.
if(NETSCOPE_LTO AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
    target_compile_options(house_build INTERFACE -flto=auto -ffat-lto-objects)
    set(HOUSE_LINK_PROGRAM -flto=auto)
    set(HOUSE_LINK_TEST -fno-lto)
endif()
if(NETSCOPE_SANITIZE)
    target_compile_options(house_build INTERFACE -fsanitize=${NETSCOPE_SANITIZE} -fno-omit-frame-pointer
                           -fno-sanitize-recover=undefined)
    target_link_options(house_build INTERFACE -fsanitize=${NETSCOPE_SANITIZE})
endif()
if(NETSCOPE_FUZZ AND NOT NETSCOPE_FUZZ STREQUAL "replay")
    target_compile_options(house_build INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(NETSCOPE_COVERAGE)
    target_compile_options(house_build INTERFACE --coverage)
    target_link_options(house_build INTERFACE --coverage)
endif()

add_library(house_flags INTERFACE)
target_link_libraries(house_flags INTERFACE house_build)
target_compile_options(house_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef
    $<$<BOOL:${NETSCOPE_WERROR}>:-Werror>)

# module(NAME SOURCES a.c ... USES other modules ... LIBS outside targets ...): one static library a folder.
function(module name)
    cmake_parse_arguments(M "" "" "SOURCES;USES;LIBS" ${ARGN})
    add_library(${name} STATIC ${M_SOURCES})
    target_link_libraries(${name} PUBLIC ${M_USES} ${M_LIBS} PRIVATE house_flags)
    target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/generated)
    if(NETSCOPE_SANITIZE)
        target_link_options(${name} PUBLIC -fsanitize=${NETSCOPE_SANITIZE})
    endif()
endfunction()

# generated_module: as module, for sources that a generator wrote: no warning flags of ours.
function(generated_module name)
    cmake_parse_arguments(M "" "" "SOURCES;USES;LIBS" ${ARGN})
    add_library(${name} STATIC ${M_SOURCES})
    target_link_libraries(${name} PUBLIC ${M_USES} ${M_LIBS} PRIVATE house_build)
    target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
    target_include_directories(${name} SYSTEM PUBLIC ${PROJECT_BINARY_DIR}/generated)
endfunction()

# program(NAME SOURCES ... USES ...): an executable in build/<preset>/bin.
function(program name)
    cmake_parse_arguments(M "" "" "SOURCES;USES;LIBS" ${ARGN})
    add_executable(${name} ${M_SOURCES})
    target_link_libraries(${name} PRIVATE ${M_USES} ${M_LIBS} house_flags)
    target_link_options(${name} PRIVATE ${HOUSE_LINK_PROGRAM})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
endfunction()

# unit_test(NAME SOURCES ... USES ...): a cmocka program, run by ctest under the label "unit".
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
function(unit_test name)
    cmake_parse_arguments(M "" "" "SOURCES;USES;LIBS" ${ARGN})
    add_executable(${name} ${M_SOURCES})
    target_link_libraries(${name} PRIVATE ${M_USES} ${M_LIBS} PkgConfig::CMOCKA house_flags)
    target_link_options(${name} PRIVATE ${HOUSE_LINK_TEST})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
    add_test(NAME ${name} COMMAND ${name})
    set(seconds 120)
    if(NETSCOPE_SANITIZE)
        set(seconds 480) # a sanitizer costs several times the time
    endif()
    set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT ${seconds} SKIP_RETURN_CODE 77
        ENVIRONMENT "CMOCKA_MESSAGE_OUTPUT=STDOUT")
endfunction()

# What tests multiply their waits by: sanitizers are slow.
set(NETSCOPE_TEST_PATIENCE 1)
if(NETSCOPE_SANITIZE)
    set(NETSCOPE_TEST_PATIENCE 5)
endif()
# Programs from elsewhere that tests fetch when they need them (grpcurl, packages of PyPI and npm): once for all builds.
set(NETSCOPE_TEST_TOOLS ${PROJECT_SOURCE_DIR}/build/tools)

# integration_test(NAME SCRIPT file NEEDS targets... ARGS words... ENVIRONMENT KEY=value... SECONDS n COST n LOCK name
# LABEL word ALONE): a test in Python of running programs, run by ctest under the label "integration" (or LABEL); none
# where one of the targets NEEDS is not built. Every one is told by its environment where the programs, the descriptors
# and the tools are. SECONDS is when it is ended (300, doubled with a sanitizer), COST about how long it takes where that
# is more than ten seconds: ctest begins with the long ones. Tests of one LOCK wait for each other; ALONE runs by itself.
function(integration_test name)
    cmake_parse_arguments(M "ALONE" "SCRIPT;SECONDS;COST;LOCK;LABEL" "NEEDS;ARGS;ENVIRONMENT" ${ARGN})
    foreach(target IN LISTS M_NEEDS)
        if(NOT TARGET ${target})
            return()
        endif()
    endforeach()
    if(M_UNPARSED_ARGUMENTS OR NOT M_SCRIPT)
        message(FATAL_ERROR "integration_test(${name}): SCRIPT is missing, or not understood: ${M_UNPARSED_ARGUMENTS}")
    endif()
    foreach(default SECONDS=300 COST=10 LABEL=integration)
        string(REGEX MATCH "^(.*)=(.*)$" _ ${default})
        if(NOT M_${CMAKE_MATCH_1})
            set(M_${CMAKE_MATCH_1} ${CMAKE_MATCH_2})
        endif()
    endforeach()
    if(NETSCOPE_SANITIZE)
        math(EXPR M_SECONDS "${M_SECONDS} * 2")
    endif()
    set(veth_gen)
    if(TARGET veth_gen)
        set(veth_gen NETSCOPE_VETH_GEN=$<TARGET_FILE:veth_gen>)
    endif()
    add_test(NAME ${name} COMMAND /usr/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/${M_SCRIPT} ${M_ARGS})
    set_tests_properties(${name} PROPERTIES LABELS ${M_LABEL} TIMEOUT ${M_SECONDS} COST ${M_COST} SKIP_RETURN_CODE 77
        RUN_SERIAL ${M_ALONE})
    set_property(TEST ${name} PROPERTY RESOURCE_LOCK ${M_LOCK})
    set_property(TEST ${name} PROPERTY ENVIRONMENT
        NETSCOPE_BIN=${PROJECT_BINARY_DIR}/bin
        NETSCOPE_INGEST_PROBE=${PROJECT_BINARY_DIR}/bin/ingest_probe
        NETSCOPE_DESCRIPTORS=${PROJECT_BINARY_DIR}/generated/netscope.binpb
        NETSCOPE_TOOLS=${NETSCOPE_TEST_TOOLS}/bin
        NETSCOPE_TEST_PATIENCE=${NETSCOPE_TEST_PATIENCE}
        ${veth_gen} ${M_ENVIRONMENT})
endfunction()

# model_tests(NAME ...): unit tests that run long models in one thread. The thread sanitizer has nothing to find there.
function(model_tests)
    set_property(TEST ${ARGN} APPEND PROPERTY LABELS model)
endfunction()

# fuzz_target(NAME SOURCES ... USES ... MEMORY_BYTES n): a libFuzzer program in build/fuzz/fuzz; the source defines
# LLVMFuzzerTestOneInput. MEMORY_BYTES is what one input may take at most (0: the parser takes no memory). Built by the
# preset "fuzz", and by "coverage" as a program that only runs files.
function(fuzz_target name)
    if(NOT NETSCOPE_FUZZ)
        return()
    endif()
    cmake_parse_arguments(M "" "MEMORY_BYTES" "SOURCES;USES;LIBS" ${ARGN})
    if(NOT M_MEMORY_BYTES)
        set(M_MEMORY_BYTES 0)
    endif()
    set(support ${PROJECT_SOURCE_DIR}/tests/fuzz/support)
    if(NETSCOPE_FUZZ STREQUAL "replay")
        list(APPEND M_SOURCES ${support}/replay_main.c)
    endif()
    add_executable(${name} ${M_SOURCES} ${support}/fuzz_bounds.c)
    target_compile_definitions(${name} PRIVATE FUZZ_MEMORY_BYTES=${M_MEMORY_BYTES})
    target_link_libraries(${name} PRIVATE ${M_USES} ${M_LIBS} house_flags)
    target_link_options(${name} PRIVATE -Wl,--wrap=LLVMFuzzerTestOneInput)
    if(NOT NETSCOPE_FUZZ STREQUAL "replay")
        target_compile_definitions(${name} PRIVATE FUZZ_HAS_ASAN=1)
        target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    endif()
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
endfunction()
