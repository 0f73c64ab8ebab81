#include "common/fault/fault.h"

#ifdef CROSSKEY_TEST_BUILD

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/status/errors.h"

namespace crosskey::fault {
namespace {

constexpr char kStatement[] = "sql:";

struct Fault {
  std::string action;
  int at = 0;  // the count of the point at which it happens; 0: at every one
};

struct State {
  State() {
    for (const char* transaction : kTransactions) {
      points.insert(absl::StrCat(transaction, ".before_commit"));
      points.insert(absl::StrCat(transaction, ".after_commit"));
    }
    points.insert(std::begin(kMessages), std::end(kMessages));
  }

  std::set<std::string> points;
  std::atomic<uint64_t> removed = 0;  // a bit for each guard
  std::mutex mutex;                   // guards what follows
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

// What is to happen now: counts the point. Empty: nothing.
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

absl::Status AtCommit(const char* transaction, const char* when) {
  const std::string point = absl::StrCat(transaction, when);
  return TheState().points.count(point) > 0 ? Hit(point) : absl::OkStatus();
}

}  // namespace

absl::Status Hit(const std::string& point) {
  if (!IsKnown(point)) Mistake("no such point: " + point);
  std::string action = Reach(point);
  if (action.empty()) return absl::OkStatus();
  std::fprintf(stderr, "fault point %s reached\n", point.c_str());
  if (action == "die") kill(getpid(), SIGKILL);
  if (action == "fail") return errors::DatabaseUnavailable();
  const std::string path(absl::StripPrefix(action, "wait:"));
  while (access(path.c_str(), F_OK) != 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  return absl::OkStatus();
}

absl::Status BeforeCommit(const char* transaction) { return AtCommit(transaction, ".before_commit"); }
absl::Status AfterCommit(const char* transaction) { return AtCommit(transaction, ".after_commit"); }

int StatementError(const std::string& statement) {
  const std::string action = Reach(kStatement + statement);
  return action.empty() ? 0 : std::atoi(action.c_str());
}

bool Without(Guard guard) { return (TheState().removed & (uint64_t{1} << static_cast<int>(guard))) != 0; }

void Remove(Guard guard) { TheState().removed |= uint64_t{1} << static_cast<int>(guard); }

void Set(const std::string& spec) {
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
  const bool known = statement ? action == "1213" || action == "1205"
                               : action == "die" || action == "fail" || absl::StartsWith(action, "wait:");
  if (!IsKnown(point) || !known) Mistake("no such fault: " + spec);
  State& state = TheState();
  std::lock_guard lock(state.mutex);
  state.faults.insert({point, {action, always ? 0 : state.reached[point] + at}});
}

void Clear() {
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

void TakeFlags(int& argc, char** argv) {
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag != "--fault" && flag != "--without") {
      argv[kept++] = argv[i];
      continue;
    }
    if (++i == argc) Mistake(flag + " takes a value");
    if (flag == "--fault") {
      Set(argv[i]);
      continue;
    }
    bool known = false;
    for (const GuardName& guard : kGuards) {
      if (guard.name != std::string(argv[i])) continue;
      Remove(guard.guard);
      known = true;
    }
    if (!known) Mistake(absl::StrCat("no such guard: ", argv[i]));
  }
  argc = kept;
  argv[argc] = nullptr;
}

}  // namespace crosskey::fault

#endif
