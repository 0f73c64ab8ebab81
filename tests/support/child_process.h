// A program of the build, run as a process of its own.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "absl/time/time.h"

namespace crosskey::testing {

inline constexpr char kUserService[] = "user-service/user-service";
inline constexpr char kPostService[] = "post-service/post-service";

// Its end fails the test if what it has written has a secret in it: see secrets.h.
class ChildProcess {
 public:
  // `program` is a path below the build folder (CROSSKEY_BUILD_DIR, or where this test lies), for example
  // "user-service/user-service".
  // `environment` is added to this process's own.
  ChildProcess(const std::string& program, const std::vector<std::string>& arguments,
               const std::map<std::string, std::string>& environment = {});
  ~ChildProcess();  // kills it
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  // Sends a signal. After SIGSTOP it returns only when all threads of the process have stopped.
  void Signal(int signal);
  // The exit code, 128 + n for a signal n; nullopt if it still runs at the deadline.
  std::optional<int> Wait(absl::Duration limit = absl::Seconds(60));
  // What it has written to stdout and stderr so far.
  std::string Output() const;

 private:
  pid_t pid_ = -1;
  std::string output_path_;
  std::optional<int> exit_;
};

// Runs a program to its end and returns the exit code (-1: not within a minute); `output` gets what it wrote.
int RunProgram(const std::string& program, const std::vector<std::string>& arguments, std::string* output,
               const std::map<std::string, std::string>& environment = {});

}  // namespace crosskey::testing
