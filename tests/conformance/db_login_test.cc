// How a session logs in to a server: with the password that is in its file now, by a method that does not give the
// password away, and with TLS only to a server that is the right one.
#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mysql.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "common/db/sql_error.h"
#include "tests/conformance/storage.h"
#include "tests/support/child_process.h"
#include "tests/support/mariadb_server.h"
#include "tests/support/status_matchers.h"

namespace crosskey::testing {
namespace {

namespace fs = std::filesystem;
using absl::StatusCode;
using ::testing::HasSubstr;
using ::testing::Not;

// A folder of a test's own.
class Folder {
 public:
  Folder() {
    static std::atomic<int> count = 0;
    path_ = fs::temp_directory_path() / absl::StrCat("crosskey_login_", getpid(), "_", ++count);
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string File(const std::string& name) const { return path_ / name; }

 private:
  fs::path path_;
};

void Write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

// What opening a session says.
absl::Status Open(const db::SessionOptions& options) {
  soci::session session;
  return db::SessionOpener(options).Open(session);
}

class PasswordOfASession : public DatabaseTest {
 protected:
  PasswordOfASession() : own_(GetParam()), options_(OptionsFor(own_, 2)), file_(folder_.File("password")) {
    options_.url.user = "crosskey_changing";
    options_.password_file = file_;
    own_.Run("CREATE USER crosskey_changing@127.0.0.1 IDENTIFIED BY 'first'");
    own_.Run("GRANT ALL PRIVILEGES ON " + options_.url.database + ".* TO crosskey_changing@127.0.0.1");
    Write(file_, "first\n");
  }
  ~PasswordOfASession() override { own_.Run("DROP USER crosskey_changing@127.0.0.1"); }

  const TestDatabase own_;
  const Folder folder_;
  db::DatabaseOptions options_;
  const std::string file_;
  telemetry::Metrics metrics_{"test", "0"};
};
CROSSKEY_ON_EVERY_SERVER(PasswordOfASession);

TEST_P(PasswordOfASession, IsReadAnewForEach) {
  db::Database database(options_, metrics_);
  EXPECT_THAT(database.Read(TestCall(), ReadOne), IsOk());
  own_.Run("ALTER USER crosskey_changing@127.0.0.1 IDENTIFIED BY 'second'");
  const auto nested = [&](db::Connection& connection) {
    EXPECT_THAT(ReadOne(connection), IsOk());
    return database.Read(TestCall(), ReadOne);
  };
  const absl::Status refused = database.Read(TestCall(), nested);
  EXPECT_FALSE(refused.ok());
  EXPECT_THAT(std::string(refused.message()), Not(HasSubstr("first")));
  Write(file_, "second\n");
  EXPECT_THAT(database.Read(TestCall(), nested), IsOk());
}

TEST_P(PasswordOfASession, ThatCannotBeReadStopsNoSessionThatIsOpen) {
  db::Database database(options_, metrics_);
  EXPECT_THAT(database.Read(TestCall(), ReadOne), IsOk());
  const auto nested = [&](db::Connection& connection) {
    EXPECT_THAT(ReadOne(connection), IsOk());
    return database.Read(TestCall(), ReadOne);
  };
  fs::remove(file_);
  EXPECT_THAT(database.Read(TestCall(), nested), StatusIs(StatusCode::kUnavailable, "DATABASE_UNAVAILABLE"));
  EXPECT_THAT(database.Read(TestCall(), ReadOne), IsOk());
  EXPECT_THAT(std::string(Open(options_).message()), HasSubstr("the password file " + file_ + ": cannot be read"));
  Write(file_, "\n");
  EXPECT_THAT(database.Read(TestCall(), nested), StatusIs(StatusCode::kUnavailable, "DATABASE_UNAVAILABLE"));
  EXPECT_THAT(std::string(Open(options_).message()), HasSubstr("the password file " + file_ + ": is empty"));
  Write(file_, "first");
  EXPECT_THAT(database.Read(TestCall(), nested), IsOk());
}

// A server that asks each client for its password as it is, and keeps what the client sends.
class CuriousServer {
 public:
  CuriousServer() {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 8), 0);
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~CuriousServer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  CuriousServer(const CuriousServer&) = delete;
  CuriousServer& operator=(const CuriousServer&) = delete;

  int port() const { return port_; }
  int logins() const { return logins_; }
  std::string heard() const {
    std::lock_guard lock(mutex_);
    return heard_;
  }

 private:
  static std::string Packet(int number, const std::string& payload) {
    const char header[] = {static_cast<char>(payload.size() & 0xFF), static_cast<char>(payload.size() >> 8), 0,
                           static_cast<char>(number)};
    return std::string(header, 4) + payload;
  }
  static std::string Greeting() {
    const std::string zero(1, '\0');
    const int flags =
        CLIENT_MYSQL | CLIENT_CONNECT_WITH_DB | CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION | CLIENT_PLUGIN_AUTH;
    const auto two = [](int number) {
      return std::string{static_cast<char>(number & 0xFF), static_cast<char>(number >> 8 & 0xFF)};
    };
    return absl::StrCat("\x0A", "8.0.0", zero, "abcd", "12345678", zero, two(flags), "\x2D", two(2), two(flags >> 16),
                        "\x15", std::string(10, '\0'), "123456789012", zero, "mysql_native_password", zero);
  }
  void Serve() {
    for (int client = 0; (client = accept(listener_, nullptr, nullptr)) >= 0; close(client)) {
      Say(client, Packet(0, Greeting()));
      if (!Hear(client)) continue;
      ++logins_;
      Say(client, Packet(2, absl::StrCat("\xFE", "mysql_clear_password", std::string(1, '\0'))));
      Hear(client);
    }
  }
  static void Say(int client, const std::string& bytes) { send(client, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  bool Hear(int client) {
    char bytes[4096];
    const ssize_t size = recv(client, bytes, sizeof(bytes), 0);
    if (size <= 0) return false;
    std::lock_guard lock(mutex_);
    heard_.append(bytes, static_cast<size_t>(size));
    return true;
  }

  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> logins_ = 0;
  mutable std::mutex mutex_;
  std::string heard_;
  std::thread thread_;
};

TEST(LoginOfASession, DoesNotSendThePasswordToWhoAsksForIt) {
  const Folder folder;
  db::SessionOptions options;
  options.url = db::ParseUrl("mysql://crosskey@127.0.0.1:1/posts").value();
  options.password_file = folder.File("password");
  Write(options.password_file, "dearest");
  CuriousServer server;
  options.url.servers.front().port = server.port();
  const absl::Status status = Open(options);
  EXPECT_EQ(db::SqlErrorOf(status), db::SqlError::kRefused);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the server asks for a login by another method than"));
  EXPECT_EQ(server.logins(), 1);
  EXPECT_THAT(server.heard(), HasSubstr("crosskey"));
  EXPECT_THAT(server.heard(), Not(HasSubstr("dearest")));
}

// Authorities, and the certificate of a server, as files of a folder.
class Certificates {
 protected:
  void OpenSsl(const std::vector<std::string>& more) const {
    std::vector<std::string> words = {"req",    "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                                      "-nodes", "-days", "2"};
    words.insert(words.end(), more.begin(), more.end());
    std::string output;
    ASSERT_EQ(RunProgram("/usr/bin/openssl", words, &output), 0) << output;
  }
  void MakeAuthority(const std::string& name) const {
    OpenSsl({"-subj", "/CN=" + name, "-keyout", folder_.File(name + ".key"), "-out", folder_.File(name + ".pem")});
  }
  // The server's, signed by ours.
  void MakeCertificate(const std::string& name) const {
    OpenSsl({"-subj", "/CN=server", "-addext", "subjectAltName=" + name, "-CA", folder_.File("ours.pem"), "-CAkey",
             folder_.File("ours.key"), "-keyout", folder_.File("server.key"), "-out", folder_.File("server.pem")});
  }

  const Folder folder_;
};

class TlsOfASession : public ::testing::Test, protected Certificates {
 protected:
  void SetUp() override {
    ASSERT_TRUE(MariadbServer::IsInstalled() && ::access("/usr/bin/openssl", X_OK) == 0)
        << "deploy/install-packages test";
    MakeAuthority("ours");
    MakeAuthority("theirs");
    MakeCertificate("IP:127.0.0.1");
    server_.emplace();
    own_.emplace("mariadb");
    options_ = OptionsFor(*own_);
    options_.tls_ca = folder_.File("ours.pem");
  }

  void StartWithTls() {
    server_->Stop(SIGTERM);
    server_->Start({"--ssl-cert=" + folder_.File("server.pem"), "--ssl-key=" + folder_.File("server.key")});
  }

  void ExpectNotTrusted(const std::string& why) const {
    const absl::Status status = Open(options_);
    EXPECT_EQ(db::SqlErrorOf(status), db::SqlError::kRefused);
    EXPECT_THAT(std::string(status.message()), HasSubstr("the server is not trusted: "));
    EXPECT_THAT(std::string(status.message()), HasSubstr(why));
  }

  std::optional<MariadbServer> server_;  // before the database, so that it outlives it
  std::optional<TestDatabase> own_;
  db::DatabaseOptions options_;
};

TEST_F(TlsOfASession, IsThereIfTheServerIsTheRightOne) {
  StartWithTls();
  const auto cipher = [this] {
    telemetry::Metrics metrics("test", "0");
    db::Database database(options_, metrics);
    return database.Read(TestCall(), [](db::Connection& connection) -> absl::StatusOr<std::string> {
      const auto row = connection.QueryOne<std::string>(
          {"test.cipher",
           "SELECT VARIABLE_VALUE FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = 'SSL_CIPHER'"});
      if (!row.ok()) return row.status();
      return std::get<0>(**row);
    });
  };
  EXPECT_THAT(cipher().value(), HasSubstr("AES"));
  options_.tls_ca = "";
  EXPECT_EQ(cipher().value(), "");
}

TEST_F(TlsOfASession, IsNotGivenUpForAServerWithoutIt) {
  ExpectNotTrusted("SSL is required, but the server does not support it");
  telemetry::Metrics metrics("test", "0");
  db::Database database(options_, metrics);
  EXPECT_THAT(database.Read(TestCall(), ReadOne), StatusIs(StatusCode::kUnavailable, "DATABASE_UNAVAILABLE"));
}

TEST_F(TlsOfASession, IsRefusedToAServerThatAnotherVouchesFor) {
  StartWithTls();
  options_.tls_ca = folder_.File("theirs.pem");
  ExpectNotTrusted("unable to get local issuer certificate");
  options_.tls_ca = folder_.File("none.pem");
  ExpectNotTrusted("TLS/SSL error");
}

TEST_F(TlsOfASession, IsRefusedToAServerOfAnotherName) {
  MakeCertificate("IP:127.0.0.9,DNS:elsewhere");
  StartWithTls();
  ExpectNotTrusted("Validation of SSL server certificate failed");
}

std::vector<std::string> MysqlServers() {
  std::vector<std::string> servers = Servers();
  servers.erase(std::remove(servers.begin(), servers.end(), "mariadb"), servers.end());
  return servers;
}

// An account as MySQL makes it if nothing else is said. MariaDB has none of this kind.
class CachingSha2 : public PasswordOfASession, protected Certificates {
 protected:
  ~CachingSha2() override {
    if (changed_) TakeCertificates("ca.pem", "server-cert.pem", "server-key.pem");
  }

  // Those that MySQL has made itself are in the folder of its data.
  void TakeCertificates(const std::string& ca, const std::string& certificate, const std::string& key) {
    changed_ = true;
    own_.Run(absl::StrCat("SET GLOBAL ssl_ca = '", ca, "', ssl_cert = '", certificate, "', ssl_key = '", key, "'"));
    own_.Run("ALTER INSTANCE RELOAD TLS");
  }
  // The method of the login and the cipher of a new session.
  std::string LogIn(const std::string& tls_ca) {
    // The server has forgotten who has logged in, so the password itself has to get there.
    own_.Run("FLUSH PRIVILEGES");
    db::DatabaseOptions options = options_;
    options.tls_ca = tls_ca;
    db::Database database(options, metrics_);
    const auto cipher = database.Read(TestCall(), [](db::Connection& connection) -> absl::StatusOr<std::string> {
      CROSSKEY_ASSIGN_OR_RETURN(
          const auto row,
          (connection.QueryOne<std::string, std::string>({"test.cipher", "SHOW SESSION STATUS LIKE 'Ssl_cipher'"})));
      return std::get<1>(*row);
    });
    EXPECT_THAT(cipher.status(), IsOk());
    return own_.Query("SELECT plugin FROM mysql.user WHERE user = 'crosskey_changing'").front().front() + " " +
           cipher.value_or("");
  }

  bool changed_ = false;
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(CachingSha2);
INSTANTIATE_TEST_SUITE_P(Databases, CachingSha2, ::testing::ValuesIn(MysqlServers()),
                         [](const auto& test) { return test.param; });

TEST_P(CachingSha2, LogsInWithTlsAndWithout) {
  EXPECT_EQ(LogIn(""), "caching_sha2_password ");
  if (own_.Number("SELECT VERSION() < '8.0.16'") != 0) GTEST_SKIP() << "its certificates cannot be replaced";
  MakeAuthority("ours");
  MakeAuthority("theirs");
  MakeCertificate("IP:127.0.0.1");
  TakeCertificates(Certificates::folder_.File("ours.pem"), Certificates::folder_.File("server.pem"),
                   Certificates::folder_.File("server.key"));
  EXPECT_THAT(LogIn(Certificates::folder_.File("ours.pem")), HasSubstr("AES"));
  options_.tls_ca = Certificates::folder_.File("theirs.pem");
  EXPECT_THAT(std::string(Open(options_).message()), HasSubstr("the server is not trusted: "));
}

}  // namespace
}  // namespace crosskey::testing
