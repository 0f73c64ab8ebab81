#include "tests/support/mariadb_server.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>
#include <mysql.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "tests/support/free_port.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

constexpr char kVariable[] = "CROSSKEY_TEST_MARIADB";

// The path of a program of the server; empty: not found. Debian has it in /usr/sbin, which is not in everybody's PATH.
std::string Program(const std::string& name) {
  for (const char* folder : {"/usr/sbin/", "/usr/bin/", "/usr/local/sbin/", "/usr/local/bin/"}) {
    if (::access((folder + name).c_str(), X_OK) == 0) return folder + name;
  }
  return "";
}

// The name is short, because the path of the socket in this folder may have at most 107 characters.
std::string NewFolder() {
  std::string path = std::filesystem::temp_directory_path() / "crosskey_db_XXXXXX";
  return mkdtemp(path.data()) == nullptr ? "" : path;
}

// The server runs as root only if it is told that this is meant.
std::vector<std::string> Arguments(std::vector<std::string> arguments) {
  if (geteuid() == 0) arguments.insert(arguments.begin() + 1, "--user=root");
  return arguments;
}

}  // namespace

bool MariadbServer::IsInstalled() { return !Program("mariadbd").empty() && !Program("mariadb-install-db").empty(); }

MariadbServer::MariadbServer() : folder_(NewFolder()), port_(FreePort()) {
  std::string output;
  EXPECT_EQ(RunProgram(Program("mariadb-install-db"),
                       Arguments({"--no-defaults", "--datadir=" + folder_ + "/data", "--tmpdir=" + folder_,
                                  "--auth-root-authentication-method=normal", "--skip-test-db", "--force"}),
                       &output),
            0)
      << output;
  Start();
  const char* before = std::getenv(kVariable);
  shared_ = before == nullptr ? "" : before;
  setenv(kVariable, absl::StrCat("mysql://root@127.0.0.1:", port_).c_str(), 1);
}

MariadbServer::~MariadbServer() {
  setenv(kVariable, shared_.c_str(), 1);
  process_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void MariadbServer::Start(const std::vector<std::string>& more) {
  std::vector<std::string> options = {"--no-defaults",
                                      "--datadir=" + folder_ + "/data",
                                      "--tmpdir=" + folder_,
                                      "--socket=" + folder_ + "/socket",
                                      "--pid-file=" + folder_ + "/pid",
                                      "--bind-address=127.0.0.1",
                                      absl::StrCat("--port=", port_),
                                      "--skip-name-resolve",
                                      "--skip-log-bin",
                                      "--character-set-server=utf8mb4",
                                      "--max-connections=500",
                                      "--innodb-autoinc-lock-mode=2",
                                      "--innodb-flush-log-at-trx-commit=1"};
  options.insert(options.end(), more.begin(), more.end());
  process_ = std::make_unique<ChildProcess>(Program("mariadbd"), Arguments(std::move(options)));
  EXPECT_TRUE(WaitFor([&] { return Answers(); })) << process_->Output();
}

void MariadbServer::Stop(int signal) {
  process_->Signal(signal);
  EXPECT_TRUE(process_->Wait().has_value());
}

void MariadbServer::Hang() const { process_->Signal(SIGSTOP); }
void MariadbServer::GoOn() const { process_->Signal(SIGCONT); }

bool MariadbServer::Answers() const {
  const std::unique_ptr<MYSQL, void (*)(MYSQL*)> connection(mysql_init(nullptr), mysql_close);
  return mysql_real_connect(connection.get(), "127.0.0.1", "root", "", nullptr, static_cast<unsigned>(port_), nullptr,
                            0) != nullptr;
}

}  // namespace crosskey::testing
