#include "tests/support/test_database.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include <mysql.h>
#include <sqlite3.h>
#include <unistd.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/db/url.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using Rows = std::vector<std::vector<std::string>>;

[[noreturn]] void Die(const std::string& what, const std::string& sql) {
  std::fprintf(stderr, "test database: %s: %s\n", what.c_str(), sql.c_str());
  std::abort();
}

Rows RunSqlite(const std::string& path, const std::string& sql) {
  sqlite3* raw = nullptr;
  if (sqlite3_open(path.c_str(), &raw) != SQLITE_OK) Die("cannot open", path);
  const std::unique_ptr<sqlite3, int (*)(sqlite3*)> connection(raw, sqlite3_close);
  sqlite3_busy_timeout(raw, 10'000);
  Rows rows;
  char* error = nullptr;
  const int result = sqlite3_exec(
      raw, sql.c_str(),
      [](void* out, int columns, char** values, char**) {
        auto& row = static_cast<Rows*>(out)->emplace_back();
        for (int i = 0; i < columns; ++i) row.emplace_back(values[i] == nullptr ? "NULL" : values[i]);
        return 0;
      },
      &rows, &error);
  if (result != SQLITE_OK) Die(error == nullptr ? "failed" : error, sql);
  return rows;
}

// `waits`: for what the other nodes of the cluster have committed.
Rows RunMysql(const std::string& server, const std::string& database, const std::string& sql, bool waits = false) {
  const auto url = db::ParseUrl(server + "/" + (database.empty() ? "mysql" : database));
  if (!url.ok()) Die("bad server", server);
  const std::unique_ptr<MYSQL, void (*)(MYSQL*)> connection(mysql_init(nullptr), mysql_close);
  if (waits) mysql_options(connection.get(), MYSQL_INIT_COMMAND, "SET SESSION wsrep_sync_wait = 15");
  if (mysql_real_connect(connection.get(), url->servers.front().host.c_str(), url->user.c_str(), "", database.c_str(),
                         static_cast<unsigned>(url->servers.front().port), nullptr,
                         CLIENT_MULTI_STATEMENTS) == nullptr) {
    Die(mysql_error(connection.get()), server);
  }
  mysql_set_character_set(connection.get(), "utf8mb4");
  if (mysql_real_query(connection.get(), sql.data(), sql.size()) != 0) Die(mysql_error(connection.get()), sql);
  Rows rows;
  do {
    const std::unique_ptr<MYSQL_RES, void (*)(MYSQL_RES*)> result(mysql_store_result(connection.get()),
                                                                  mysql_free_result);
    if (result == nullptr) continue;
    const unsigned columns = mysql_num_fields(result.get());
    while (const MYSQL_ROW values = mysql_fetch_row(result.get())) {
      const unsigned long* lengths = mysql_fetch_lengths(result.get());
      auto& row = rows.emplace_back();
      for (unsigned i = 0; i < columns; ++i) {
        row.push_back(values[i] == nullptr ? "NULL" : std::string(values[i], lengths[i]));
      }
    }
  } while (mysql_next_result(connection.get()) == 0);
  if (mysql_errno(connection.get()) != 0) Die(mysql_error(connection.get()), sql);
  return rows;
}

void Command(const std::string& command) {
  if (std::system(command.c_str()) != 0) Die("failed", command);
}

std::string ServerFlags(const std::string& server) {
  const auto url = db::ParseUrl(server + "/mysql");
  const db::Server& first = url->servers.front();
  return "--protocol=tcp --host=" + first.host + " --port=" + std::to_string(first.port) + " --user=" + url->user;
}

const char* Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::vector<std::string> Backends() {
  std::vector<std::string> backends = {"sqlite"};
  if (*Environment("CROSSKEY_TEST_MARIADB") != '\0') backends.emplace_back("mariadb");
  if (*Environment("CROSSKEY_TEST_MYSQL") != '\0') backends.emplace_back("mysql");
  if (*Environment("CROSSKEY_TEST_GALERA") != '\0') backends.emplace_back("galera");
  return backends;
}

std::vector<std::string> Servers() {
  std::vector<std::string> servers = Backends();
  servers.erase(servers.begin());
  return servers;
}

TestDatabase::TestDatabase(const std::string& backend) {
  static std::atomic<int> count = 0;
  const std::string unique = std::to_string(getpid()) + "_" + std::to_string(++count);
  if (backend == "sqlite") {
    const auto folder = std::filesystem::temp_directory_path() / ("crosskey_test_" + unique);
    std::filesystem::create_directories(folder);
    name_ = folder / "test.db";
    url_ = "sqlite:" + name_;
    return;
  }
  servers_ = absl::StrSplit(Environment(absl::StrCat("CROSSKEY_TEST_", absl::AsciiStrToUpper(backend)).c_str()), ' ');
  name_ = "crosskey_test_" + unique;
  url_ = server() + "/" + name_;
  RunMysql(server(), "", "CREATE DATABASE " + name_);
  AwaitOnEveryNode();
}

TestDatabase::TestDatabase(const TestDatabase& of, int node)
    : servers_(of.servers_), node_(node), is_own_(false), name_(of.name_), url_(of.UrlAt(node)) {}

// A node may be a moment behind the one that has made the database.
void TestDatabase::AwaitOnEveryNode() const {
  if (nodes() == 1) return;
  for (const std::string& server : servers_) {
    const bool has_it = WaitFor([&] { return !RunMysql(server, "", "SHOW DATABASES LIKE '" + name_ + "'").empty(); });
    if (!has_it) Die("has no such database", server + "/" + name_);
  }
}

TestDatabase::~TestDatabase() {
  if (!is_own_) return;
  std::error_code ignored;
  for (const std::string& backup : backups_) std::filesystem::remove(backup, ignored);
  if (is_sqlite()) {
    std::filesystem::remove_all(std::filesystem::path(name_).parent_path(), ignored);
  } else {
    RunMysql(server(), "", "DROP DATABASE " + name_);
  }
}

int TestDatabase::port() const { return db::ParseUrl(url_)->servers.front().port; }

std::string TestDatabase::UrlThrough(int gate, const std::string& user) const {
  if (gate == 0 && user.empty()) return url_;
  auto url = db::ParseUrl(url_);
  if (gate != 0) url->servers.front().port = gate;
  if (!user.empty()) url->user = user;
  return db::ToText(*url);
}

std::string TestDatabase::UrlAt(int node, const std::string& user, bool all) const {
  if (is_sqlite()) return url_;
  const auto url_of = [this](int at) {
    return db::ParseUrl(servers_[static_cast<size_t>(at % nodes())] + "/" + name_);
  };
  auto url = url_of(node);
  for (int more = 1; all && more < nodes(); ++more) url->servers.push_back(url_of(node + more)->servers.front());
  if (!user.empty()) url->user = user;
  return db::ToText(*url);
}

std::string TestDatabase::Backup() const {
  static std::atomic<int> count = 0;
  const std::string path = (std::filesystem::temp_directory_path() /
                            ("crosskey_backup_" + std::to_string(getpid()) + "_" + std::to_string(++count)))
                               .string();
  std::filesystem::remove(path);
  backups_.push_back(path);
  if (is_sqlite()) {
    Run("VACUUM INTO '" + path + "'");
  } else {
    Command("mariadb-dump --single-transaction " + ServerFlags(server()) + " " + name_ + " > " + path);
  }
  return path;
}

void TestDatabase::Clear() const {
  if (is_sqlite()) {
    for (const char* suffix : {"-wal", "-shm", "", ".exists"}) std::filesystem::remove(name_ + suffix);
  } else {
    RunMysql(server(), "", "DROP DATABASE " + name_);
    RunMysql(server(), "", "CREATE DATABASE " + name_);
    AwaitOnEveryNode();
  }
}

void TestDatabase::Restore(const std::string& backup) const {
  Clear();
  if (is_sqlite()) {
    std::filesystem::copy_file(backup, name_);
    return;
  }
  Command("mariadb " + ServerFlags(server()) + " " + name_ + " < " + backup);
}

void TestDatabase::RaiseCounter(const std::string& table, int64_t id) const {
  const std::string number = std::to_string(id);
  if (!is_sqlite()) return Run("ALTER TABLE " + table + " AUTO_INCREMENT = " + std::to_string(id + 1));
  Run("DELETE FROM sqlite_sequence WHERE name = '" + table + "'");
  Run("INSERT INTO sqlite_sequence (name, seq) VALUES ('" + table + "', " + number + ")");
}

void TestDatabase::Run(const std::string& sql) const { Query(sql); }

Rows TestDatabase::Query(const std::string& sql) const {
  return is_sqlite() ? RunSqlite(name_, sql) : RunMysql(server(), name_, sql, nodes() > 1);
}

int64_t TestDatabase::Number(const std::string& sql) const {
  const Rows rows = Query(sql);
  return rows.empty() ? 0 : std::atoll(rows.front().front().c_str());
}

}  // namespace crosskey::testing
