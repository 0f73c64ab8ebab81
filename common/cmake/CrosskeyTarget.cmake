# Rules for our own targets: the standard, warnings as errors, hardening. Generated code is built without the warnings.
set(CROSSKEY_SANITIZE "" CACHE STRING "Sanitizers to build with: address,undefined or thread")

set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

add_compile_options(-fstack-protector-strong -fstack-clash-protection -fcf-protection)
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
                      -Woverloaded-virtual -Wformat=2 -Wimplicit-fallthrough -Werror)
  if(CROSSKEY_SANITIZE)
    # With instrumented code GCC takes values for uninitialized that are not; the plain builds keep the warning.
    target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized)
  endif()
endfunction()

# For targets that include SOCI: Debian's library does not export the type information that the check of virtual pointers needs.
function(crosskey_uses_soci)
  if(CROSSKEY_SANITIZE MATCHES undefined)
    foreach(target ${ARGN})
      target_compile_options(${target} PRIVATE -fno-sanitize=vptr)
    endforeach()
  endif()
endfunction()

# crosskey_library(NAME [TWIN] SOURCES a.cc ... LINK libs ...): a static library of our own code.
# TWIN: NAME_for_tests too, compiled with CROSSKEY_TEST_BUILD, for what contains fault points (common/fault) or links what does.
# A program links either all of the ones or all of the others.
function(crosskey_library name)
  cmake_parse_arguments(ARG "TWIN" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${ARG_LINK})
  crosskey_warnings(${name})
  if(ARG_TWIN AND CROSSKEY_TESTS)
    add_library(${name}_for_tests STATIC ${ARG_SOURCES})
    target_include_directories(${name}_for_tests PUBLIC ${PROJECT_SOURCE_DIR})
    foreach(library ${ARG_LINK})
      if(TARGET ${library}_for_tests)
        set(library ${library}_for_tests)
      endif()
      target_link_libraries(${name}_for_tests PUBLIC ${library})
    endforeach()
    crosskey_warnings(${name}_for_tests)
  endif()
endfunction()

# The targets of a library: itself, and its twin if it has one.
function(crosskey_twins out name)
  set(targets ${name})
  if(TARGET ${name}_for_tests)
    list(APPEND targets ${name}_for_tests)
  endif()
  set(${out} ${targets} PARENT_SCOPE)
endfunction()

# crosskey_binary(NAME SOURCES a.cc ... LINK libs ...): an executable of our own code.
function(crosskey_binary name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINK})
  crosskey_warnings(${name})
endfunction()

# crosskey_migrations(TARGET FUNCTION_NAMESPACE DIR): compiles DIR/{sqlite,mysql}/NNNN_name.sql into TARGET, which then has
# `const std::vector<db::Migration>& FUNCTION_NAMESPACE::Migrations(db::Dialect)`, declared in storage/migrations.h.
function(crosskey_migrations target namespace header dir)
  set(body "")
  foreach(dialect sqlite mysql)
    file(GLOB files CONFIGURE_DEPENDS ${dir}/${dialect}/*.sql)
    list(SORT files)
    string(APPEND body "const std::vector<db::Migration> k_${dialect} = {\n")
    foreach(file ${files})
      get_filename_component(stem ${file} NAME_WE)
      string(REGEX MATCH "^[0-9]+" number ${stem})
      math(EXPR number "${number}")
      file(READ ${file} text)
      set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
      string(APPEND body "    {${number}, \"${stem}\", R\"~~(${text})~~\"},\n")
    endforeach()
    string(APPEND body "};\n")
  endforeach()
  set(out ${CMAKE_CURRENT_BINARY_DIR}/${target}_migrations.cc)
  file(
    GENERATE
    OUTPUT ${out}
    CONTENT
      "#include \"${header}\"\n\nnamespace ${namespace} {\nnamespace {\n${body}}  // namespace\n\nconst std::vector<db::Migration>& Migrations(db::Dialect dialect) {\n  return dialect == db::Dialect::kSqlite ? k_sqlite : k_mysql;\n}\n\n}  // namespace ${namespace}\n"
  )
  crosskey_twins(targets ${target})
  foreach(each ${targets})
    target_sources(${each} PRIVATE ${out})
  endforeach()
endfunction()
