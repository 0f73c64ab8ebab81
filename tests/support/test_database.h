// A database of a test's own, on each kind of server, and a look into it that does not go through the code under test.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace crosskey::testing {

// The databases to test on: "sqlite" always; "mariadb" where CROSSKEY_TEST_MARIADB names a server
// (mysql://user@host:port, no password); "mysql" where CROSSKEY_TEST_MYSQL names one.
std::vector<std::string> Backends();
// Those of them that are servers: several processes or sessions can write to one at a time.
std::vector<std::string> Servers();

// A fixture that runs every test on each of them: derive, then CROSSKEY_ON_EVERY_DATABASE(Name).
class DatabaseTest : public ::testing::TestWithParam<std::string> {};

#define CROSSKEY_ON_EVERY_DATABASE(name)                                                          \
  INSTANTIATE_TEST_SUITE_P(Databases, name, ::testing::ValuesIn(::crosskey::testing::Backends()), \
                           [](const ::testing::TestParamInfo<std::string>& of) { return of.param; })

// The same on servers only, of which there may be none.
#define CROSSKEY_ON_EVERY_SERVER(name)                                                           \
  GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(name);                                           \
  INSTANTIATE_TEST_SUITE_P(Databases, name, ::testing::ValuesIn(::crosskey::testing::Servers()), \
                           [](const ::testing::TestParamInfo<std::string>& of) { return of.param; })

class TestDatabase {
 public:
  explicit TestDatabase(const std::string& backend);
  ~TestDatabase();  // drops it
  TestDatabase(const TestDatabase&) = delete;
  TestDatabase& operator=(const TestDatabase&) = delete;

  // For --db.
  const std::string& url() const { return url_; }
  // The same with another port, behind which is a gate to the server; 0: as it is.
  std::string UrlThrough(int gate) const;
  // The server's port.
  int port() const;
  bool is_sqlite() const { return server_.empty(); }

  // Runs a statement on a session of its own. Ends the test program if it fails.
  void Run(const std::string& sql) const;
  // The rows as texts; null is "NULL".
  std::vector<std::vector<std::string>> Query(const std::string& sql) const;
  // The first value of the first row as a number.
  int64_t Number(const std::string& sql) const;

 private:
  std::string server_;  // empty for sqlite
  std::string name_;    // of the database, or the file's path
  std::string url_;
};

}  // namespace crosskey::testing
