#include "tests/support/faults.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <map>
#include <mutex>
#include <set>

#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/db/connection.h"
#include "common/db/sql_error.h"
#include "common/fault/fault.h"
#include "common/status/errors.h"
#include "tests/support/guards.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

constexpr char kStatement[] = "sql:";
// A process waits at a point no longer than this: a test lets it go on much earlier, or has ended.
constexpr absl::Duration kHeld = absl::Minutes(10);

struct Fault {
  std::string action;
  int at = 0;  // happens when the point is reached for this time; 0: every time
};

struct State {
  State() {
    for (const char* transaction : fault::kTransactions) Add(transaction);
    Add(fault::kVerdict);
    for (const char* transaction : fault::kRepairTransactions) Add(transaction);
    points.insert(std::begin(fault::kMessages), std::end(fault::kMessages));
    points.insert(std::begin(fault::kRestore), std::end(fault::kRestore));
  }

  void Add(const std::string& transaction) {
    points.insert(transaction + ".before_commit");
    points.insert(transaction + ".after_commit");
  }

  std::set<std::string> points;
  std::mutex mutex;  // guards what follows
  std::multimap<std::string, Fault> faults;
  std::map<std::string, int> reached;
};

State& TheState() {
  static auto* const state = new State();  // outlives every thread
  return *state;
}

[[noreturn]] void Mistake(const std::string& what) {
  std::fprintf(stderr, "fault: %s\n", what.c_str());
  std::_Exit(2);
}

// Counts the point, and returns the action that is to happen now. Empty: none.
std::string Reach(const std::string& point) {
  State& state = TheState();
  std::lock_guard lock(state.mutex);
  const int count = ++state.reached[point];
  const auto [begin, end] = state.faults.equal_range(point);
  for (auto fault = begin; fault != end; ++fault) {
    if (fault->second.at == count || fault->second.at == 0) return fault->second.action;
  }
  return "";
}

bool IsKnown(const std::string& point) {
  return TheState().points.count(point) > 0 || absl::StartsWith(point, kStatement);
}

absl::Status HitPoint(const std::string& point) {
  if (!IsKnown(point)) Mistake("no such point: " + point);
  const std::string action = Reach(point);
  if (action.empty()) return absl::OkStatus();
  std::fprintf(stderr, "fault point %s reached\n", point.c_str());
  if (action == "die") kill(getpid(), SIGKILL);
  if (action == "fail") return errors::DatabaseUnavailable();
  const std::string path(absl::StripPrefix(action, "wait:"));
  if (!WaitFor([&path] { return access(path.c_str(), F_OK) == 0; }, kHeld)) Mistake("nobody let it go on: " + point);
  return absl::OkStatus();
}

absl::Status AtCommit(const char* transaction, const char* when) {
  const std::string point = absl::StrCat(transaction, when);
  return TheState().points.count(point) > 0 ? HitPoint(point) : absl::OkStatus();
}

// Makes the server itself report the error that is set for this statement. A deadlock undoes the transaction first, a
// lock timeout does not. SQLite cannot be made to report one, so there the error is made here.
absl::Status Provoke(db::Connection& connection, const std::string& statement) {
  const std::string error = Reach(kStatement + statement);
  if (error.empty()) return absl::OkStatus();
  if (connection.dialect() == db::Dialect::kSqlite) {
    return db::MysqlError(static_cast<unsigned int>(std::stoul(error)), statement, "as a server says it");
  }
  if (error == "1213") {
    if (absl::Status status = connection.Command("test.rollback", "ROLLBACK"); !status.ok()) return status;
  }
  return connection.Command("test.signal", "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = " + error);
}

}  // namespace

void SetFault(const std::string& spec) {
  const size_t equals = spec.find('=');
  if (equals == std::string::npos) Mistake("not POINT=ACTION: " + spec);
  const std::string point = spec.substr(0, equals);
  std::string action = spec.substr(equals + 1);
  int at = 1;
  bool always = false;
  const size_t sign = action.rfind('@');
  if (sign != std::string::npos) {
    const std::string count = action.substr(sign + 1);
    always = count == "*";
    if (!always && (!absl::SimpleAtoi(count, &at) || at < 1)) Mistake("not a count: " + spec);
    action.resize(sign);
  }
  const bool statement = absl::StartsWith(point, kStatement);
  const bool known = statement ? action == "1213" || action == "1205" || action == "1290"
                               : action == "die" || action == "fail" || absl::StartsWith(action, "wait:");
  if (!IsKnown(point) || !known) Mistake("no such fault: " + spec);
  State& state = TheState();
  std::lock_guard lock(state.mutex);
  state.faults.insert({point, {action, always ? 0 : state.reached[point] + at}});
}

void ClearFaults() {
  State& state = TheState();
  std::lock_guard lock(state.mutex);
  state.faults.clear();
  state.reached.clear();
}

int TimesReached(const std::string& point) {
  State& state = TheState();
  std::lock_guard lock(state.mutex);
  return state.reached[point];
}

db::StatementSeam Seam(std::function<void(const db::Sql&, const db::Rendered&, int64_t rows)> after) {
  return {[](db::Connection& connection, const db::Sql& sql, db::Rendered& rendered) {
            LeaveOutGuards(connection.dialect(), sql.name, rendered.text);
            return Provoke(connection, sql.name);
          },
          std::move(after)};
}

void TakeFaultFlags(int& argc, char** argv) {
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag != "--fault" && flag != "--without") {
      argv[kept++] = argv[i];
      continue;
    }
    if (++i == argc) Mistake(flag + " takes a value");
    if (flag == "--fault") {
      SetFault(argv[i]);
    } else {
      LeaveOut(argv[i]);
    }
  }
  argc = kept;
  argv[argc] = nullptr;
}

}  // namespace crosskey::testing

// The programs of the tests link these functions in place of common/fault/none.cc.
namespace crosskey::fault {

absl::Status Hit(const char* point) { return testing::HitPoint(point); }
absl::Status BeforeCommit(const char* transaction) { return testing::AtCommit(transaction, ".before_commit"); }
absl::Status AfterCommit(const char* transaction) { return testing::AtCommit(transaction, ".after_commit"); }

}  // namespace crosskey::fault
