# The rules of the house: how a room (a folder) becomes a library, a program, a test.

find_package(PkgConfig REQUIRED)

option(NETSCOPE_WERROR "warnings are errors" OFF)
option(NETSCOPE_FUZZ "build the libFuzzer targets (Clang)" OFF)
set(NETSCOPE_SANITIZE "" CACHE STRING "value of -fsanitize=")

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
target_link_libraries(house_build INTERFACE m pthread)
if(NETSCOPE_SANITIZE)
    target_compile_options(house_build INTERFACE -fsanitize=${NETSCOPE_SANITIZE} -fno-omit-frame-pointer
                           -fno-sanitize-recover=undefined)
    target_link_options(house_build INTERFACE -fsanitize=${NETSCOPE_SANITIZE})
endif()
if(NETSCOPE_FUZZ)
    target_compile_options(house_build INTERFACE -fsanitize=fuzzer-no-link)
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
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
endfunction()

# unit_test(NAME SOURCES ... USES ...): a cmocka program, run by ctest under the label "unit".
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
function(unit_test name)
    cmake_parse_arguments(M "" "" "SOURCES;USES;LIBS" ${ARGN})
    add_executable(${name} ${M_SOURCES})
    target_link_libraries(${name} PRIVATE ${M_USES} ${M_LIBS} PkgConfig::CMOCKA house_flags)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 120 SKIP_RETURN_CODE 77
        ENVIRONMENT "CMOCKA_MESSAGE_OUTPUT=STDOUT")
endfunction()

# fuzz_target(NAME SOURCES ... USES ...): a libFuzzer program in build/fuzz/fuzz; the source defines
# LLVMFuzzerTestOneInput. Built by the preset "fuzz" alone.
function(fuzz_target name)
    if(NOT NETSCOPE_FUZZ)
        return()
    endif()
    cmake_parse_arguments(M "" "" "SOURCES;USES;LIBS" ${ARGN})
    add_executable(${name} ${M_SOURCES})
    target_link_libraries(${name} PRIVATE ${M_USES} ${M_LIBS} house_flags)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
endfunction()
