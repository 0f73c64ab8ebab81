# Rules for our own targets: the standard, warnings, hardening. Generated code is built without the warnings. They are
# errors where CMAKE_COMPILE_WARNING_AS_ERROR says so, as `tests/run ci` does: a newer compiler must not stop a release.
set(CROSSKEY_SANITIZE "" CACHE STRING "Sanitizers to build with: address,undefined or thread")

set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

add_compile_options(-pthread -fstack-protector-strong -fstack-clash-protection -fcf-protection)
add_link_options(-Wl,-z,relro,-z,now,-z,noexecstack)
if(CROSSKEY_SANITIZE)
  add_compile_options(-fsanitize=${CROSSKEY_SANITIZE} -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${CROSSKEY_SANITIZE})
else()
  add_compile_definitions($<$<CONFIG:Release>:_FORTIFY_SOURCE=2> _GLIBCXX_ASSERTIONS)
endif()

function(crosskey_warnings target)
  target_compile_options(
    ${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor
                      -Woverloaded-virtual -Wformat=2 -Wimplicit-fallthrough)
  if(CROSSKEY_SANITIZE)
    # With instrumented code GCC takes values for uninitialized that are not; the plain builds keep the warning.
    target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized)
  endif()
endfunction()

# For targets that include SOCI. Debian's library does not export the type information that the sanitizer's check of
# virtual pointers needs, so these targets are built without that check.
function(crosskey_uses_soci)
  if(CROSSKEY_SANITIZE MATCHES undefined)
    foreach(target ${ARGN})
      target_compile_options(${target} PRIVATE -fno-sanitize=vptr)
      set_target_properties(${target} PROPERTIES DISABLE_PRECOMPILE_HEADERS ON)  # made with other flags
    endforeach()
  endif()
endfunction()

# crosskey_precompiled(NAME LINK libs HEADERS a.h ...): parses headers once that many sources include. A target that is
# compiled with the same flags takes them with target_precompile_headers(TARGET REUSE_FROM NAME), as crosskey_library
# does with crosskey_headers. Every source includes what it needs all the same.
function(crosskey_precompiled name)
  cmake_parse_arguments(ARG "" "" "LINK;HEADERS" ${ARGN})
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${name}.cc)
  file(WRITE ${source}.new "// The target needs a source.\n")
  file(COPY_FILE ${source}.new ${source} ONLY_IF_DIFFERENT)
  add_library(${name} OBJECT ${source})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${ARG_LINK})
  crosskey_warnings(${name})
  target_precompile_headers(${name} PRIVATE ${ARG_HEADERS})
endfunction()

# crosskey_library(NAME SOURCES a.cc ... LINK libs ...): a static library of our own code.
function(crosskey_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${ARG_LINK})
  crosskey_warnings(${name})
  if(TARGET crosskey_headers AND NOT CROSSKEY_OWN_HEADERS)
    target_precompile_headers(${name} REUSE_FROM crosskey_headers)
  endif()
endfunction()

# crosskey_binary(NAME SOURCES a.cc ... LINK libs ...): an executable of our own code. Where that code has fault points,
# the executable also links what happens at them: crosskey_no_faults, or crosskey_test_faults.
function(crosskey_binary name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINK})
  crosskey_warnings(${name})
endfunction()

# crosskey_allocator(NAME): the executable allocates memory with jemalloc. Calls allocate on one thread and free on
# another, and the C library's allocator took a third of the time of a ListPosts.
function(crosskey_allocator name)
  if(NOT CROSSKEY_SANITIZE)
    find_library(CROSSKEY_JEMALLOC jemalloc REQUIRED)
    target_link_options(${name} PRIVATE -Wl,--no-as-needed,${CROSSKEY_JEMALLOC},--as-needed)
  endif()
endfunction()

# crosskey_migrations(TARGET COMPONENT NAMESPACE HEADER DIR): compiles DIR/NNNN_name.sql into TARGET, which then has
# `db::Component NAMESPACE::Tables()` with that name, declared in HEADER.
function(crosskey_migrations target component namespace header dir)
  set(body "")
  file(GLOB files CONFIGURE_DEPENDS ${dir}/*.sql)
  list(SORT files)
  foreach(file ${files})
    get_filename_component(stem ${file} NAME_WE)
    string(REGEX MATCH "^[0-9]+" number ${stem})
    math(EXPR number "${number}")
    file(READ ${file} text)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    string(APPEND body "           {${number}, \"${stem}\", R\"~~(${text})~~\"},\n")
  endforeach()
  set(out ${CMAKE_CURRENT_BINARY_DIR}/${target}_migrations.cc)
  string(
    CONCAT content "#include \"${header}\"\n\nnamespace ${namespace} {\n\ndb::Component Tables() {\n"
                   "  return {\"${component}\",\n          {\n${body}          }};\n}\n\n"
                   "}  // namespace ${namespace}\n")
  file(GENERATE OUTPUT ${out} CONTENT "${content}")
  target_sources(${target} PRIVATE ${out})
endfunction()
