// Opening a session so that it is safe to use.
#pragma once

#include <atomic>
#include <mutex>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/db/sqlite_place.h"
#include "common/db/url.h"

namespace soci {
class session;
}

namespace crosskey::db {

struct SessionOptions {
  Url url;
  std::string password_file;  // MySQL: read for each session; empty: no password
  // MySQL: a file with the certificates that the server's own one must be signed by. Empty: no TLS. It may have no
  // braces in its name, because the driver takes them for the end of the name.
  std::string tls_ca;
  absl::Duration statement_timeout = absl::Seconds(30);  // MySQL: the longest a single statement may take
  // MySQL: the server ends a session that has sent nothing for so long, whole seconds, and with it the transaction and
  // its locks. Else a process that is stopped, or whose machine is gone, would hold them for hours.
  absl::Duration idle_timeout = absl::Minutes(10);
};

// What a session has found out about its server.
struct SessionFacts {
  bool in_cluster = false;  // one of several servers that all take writes (Galera)
  size_t server = 0;        // its place in Url::servers
};

// Thread-safe.
class SessionOpener {
 public:
  explicit SessionOpener(SessionOptions options);

  // Opens `session`, after closing it if it was open, and prepares it:
  //  SQLite: WAL, synchronous=FULL, foreign keys enforced, waits up to 5 s for another process. Only the first session
  //          may make the file, and later ones take no other file.
  //  MySQL:  utf8mb4, READ COMMITTED, lock waits of 5 s, TCP, and whatever else a server or its init_connect may have
  //          chosen otherwise: autocommit, a strict sql_mode, checks on, no limits of rows. A server that does not take
  //          utf8mb4, or packets of 16 MiB, is refused (SqlError::kRefused).
  //          A session ends after `idle_timeout`. MariaDB has a second limit, for sessions within a transaction, which
  //          is 30 s at most. MySQL has no such limit.
  //          The password is what is in its file now. It is proved by one of a few methods, none of which sends it as
  //          it is. With `tls_ca` the session is encrypted, and the server's certificate is signed by one of those and
  //          has the name or the address of the URL; else there is no session, and no password is sent
  //          (SqlError::kRefused).
  //          Of several servers it takes the one that the last session had, as long as that takes writes, and else the
  //          next one that does. Each may need 2 s to be found missing. What a server that takes none would read may be
  //          behind what others have been told, so without any other there is no session (SqlError::kReadOnly).
  //          On Galera a read waits until this server has what was committed on the others (wsrep_sync_wait). Group
  //          Replication with several primaries is refused.
  // On an error the session is closed and must not be used. `facts` may be null.
  absl::Status Open(soci::session& session, SessionFacts* facts = nullptr);

  // Whether what the sessions have open is still the database: SqlitePlace::Check.
  absl::Status Check() const;

  // Whether an open session may stay: its server still takes writes. Needs up to two statements. To be asked only where
  // there are several servers, because one alone is the database also while it takes no writes.
  bool MayStay(soci::session& session, const SessionFacts& facts) const;
  bool has_several_servers() const { return options_.url.servers.size() > 1; }

 private:
  absl::Status OpenMysql(soci::session& session, SessionFacts& facts);

  const SessionOptions options_;
  std::atomic<size_t> server_ = 0;  // of options_.url.servers: the one that the last session had
  // That no server took a session is believed for a moment: those that elect a primary have other things to do.
  std::mutex failure_mutex_;
  absl::Time failed_until_ = absl::InfinitePast();
  absl::Status failure_;
  SqlitePlace place_;
};

}  // namespace crosskey::db
