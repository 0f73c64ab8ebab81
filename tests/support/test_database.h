// A database of a test's own, on each kind of database, and a way to look into it without the code under test.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace crosskey::testing {

// The databases to test on: "sqlite" always; "mariadb" where CROSSKEY_TEST_MARIADB names a server
// (mysql://user@host:port, no password); "mysql" where CROSSKEY_TEST_MYSQL names one; "galera" where
// CROSSKEY_TEST_GALERA names the nodes of a Galera cluster, separated by blanks.
std::vector<std::string> Backends();
// Backends() without SQLite: on a server several sessions can write at the same time.
std::vector<std::string> Servers();

// A fixture that runs every test on each of Backends(): derive from it, then write CROSSKEY_ON_EVERY_DATABASE(Name).
class DatabaseTest : public ::testing::TestWithParam<std::string> {};

#define CROSSKEY_ON_EVERY_DATABASE(name)                                                          \
  INSTANTIATE_TEST_SUITE_P(Databases, name, ::testing::ValuesIn(::crosskey::testing::Backends()), \
                           [](const ::testing::TestParamInfo<std::string>& of) { return of.param; })

// The same on Servers() only. There may be none: then the tests do not run.
#define CROSSKEY_ON_EVERY_SERVER(name)                                                           \
  GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(name);                                           \
  INSTANTIATE_TEST_SUITE_P(Databases, name, ::testing::ValuesIn(::crosskey::testing::Servers()), \
                           [](const ::testing::TestParamInfo<std::string>& of) { return of.param; })

class TestDatabase {
 public:
  explicit TestDatabase(const std::string& backend);
  // The same database, looked at on another node of the cluster. It is not dropped with this object.
  TestDatabase(const TestDatabase& of, int node);
  ~TestDatabase();  // drops it
  TestDatabase(const TestDatabase&) = delete;
  TestDatabase& operator=(const TestDatabase&) = delete;

  // The value of the flag --db.
  const std::string& url() const { return url_; }
  // The URL with the port of a TcpGate in front of the server, and with another user, so servers only; 0 and "": as
  // url() has them.
  std::string UrlThrough(int gate, const std::string& user = "") const;
  // How many servers have this database. With more than one, each node of the cluster takes writes.
  int nodes() const { return std::max(1, static_cast<int>(servers_.size())); }
  // UrlThrough with the address of one node; `all`: and then of all others.
  std::string UrlAt(int node, const std::string& user = "", bool all = false) const;
  // The server's port.
  int port() const;
  bool is_sqlite() const { return servers_.empty(); }

  // Makes a consistent copy, also while a service uses the database. Returns what Restore takes; it goes with this
  // object.
  std::string Backup() const;
  // Puts the copy in the place of the database. No service may use it.
  void Restore(const std::string& backup) const;
  // Makes it a new and empty one. No service may use it.
  void Clear() const;

  // Lets the counter of a table give ids above this one only. A test that makes up ids would be taken for a loss of
  // those that have been given.
  void RaiseCounter(const std::string& table, int64_t id) const;

  // Runs a statement on a session of its own. Ends the test program if it fails. On a cluster it comes after all that
  // any node had committed before.
  void Run(const std::string& sql) const;
  // The rows as texts; null is "NULL".
  std::vector<std::vector<std::string>> Query(const std::string& sql) const;
  // The first value of the first row as a number.
  int64_t Number(const std::string& sql) const;

 private:
  void AwaitOnEveryNode() const;
  const std::string& server() const { return servers_[static_cast<size_t>(node_)]; }

  std::vector<std::string> servers_;  // empty for sqlite
  int node_ = 0;                      // which of them is asked
  bool is_own_ = true;
  std::string name_;  // the database's name; SQLite: the path of its file
  std::string url_;
  mutable std::vector<std::string> backups_;
};

}  // namespace crosskey::testing
