# SOCI 4 as Debian packages it: headers and libraries without CMake files. Defines the targets SOCI::core, SOCI::mysql
# and SOCI::sqlite3.
find_path(SOCI_INCLUDE_DIR soci/soci.h)
find_path(SOCI_MYSQL_CLIENT_INCLUDE_DIR mysql.h PATH_SUFFIXES mariadb mysql)
foreach(part core mysql sqlite3)
  find_library(SOCI_${part}_LIBRARY soci_${part})
endforeach()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  SOCI REQUIRED_VARS SOCI_INCLUDE_DIR SOCI_MYSQL_CLIENT_INCLUDE_DIR SOCI_core_LIBRARY SOCI_mysql_LIBRARY
                     SOCI_sqlite3_LIBRARY)

if(SOCI_FOUND AND NOT TARGET SOCI::core)
  add_library(SOCI::core UNKNOWN IMPORTED)
  set_target_properties(SOCI::core PROPERTIES IMPORTED_LOCATION ${SOCI_core_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES
                                                                                     ${SOCI_INCLUDE_DIR})
  foreach(part mysql sqlite3)
    add_library(SOCI::${part} UNKNOWN IMPORTED)
    set_target_properties(SOCI::${part} PROPERTIES IMPORTED_LOCATION ${SOCI_${part}_LIBRARY} INTERFACE_LINK_LIBRARIES
                                                                                             SOCI::core)
  endforeach()
  set_property(TARGET SOCI::mysql APPEND PROPERTY INTERFACE_INCLUDE_DIRECTORIES ${SOCI_MYSQL_CLIENT_INCLUDE_DIR})
endif()
