#include "tests/support/child_process.h"

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/secrets.h"
#include "tests/support/wait.h"

extern char** environ;

namespace crosskey::testing {
namespace {

// A program that is shipped may come from another build than the tests: CROSSKEY_SHIPPED_DIR names that one.
std::filesystem::path BuildFolderOf(const std::string& program) {
  const bool shipped = program.rfind("tests/", 0) != 0;
  for (const char* variable : {"CROSSKEY_SHIPPED_DIR", "CROSSKEY_BUILD_DIR"}) {
    const char* folder = std::getenv(variable);
    const bool applies = shipped || variable != std::string("CROSSKEY_SHIPPED_DIR");
    if (applies && folder != nullptr && *folder != '\0') return folder;
  }
  return std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path();
}

}  // namespace

ChildProcess::ChildProcess(const std::string& program, const std::vector<std::string>& arguments,
                           const std::map<std::string, std::string>& environment) {
  char path[] = "/tmp/crosskey_output_XXXXXX";
  const int output = mkstemp(path);
  output_path_ = path;

  const std::string binary = BuildFolderOf(program) / program;
  std::vector<std::string> words = {binary};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) variables.emplace_back(*variable);
  for (const auto& [name, value] : environment) variables.push_back(name + "=" + value);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<char*> envp;
  for (std::string& variable : variables) envp.push_back(variable.data());
  envp.push_back(nullptr);

  // A fork would copy the page tables of this process, which are large with sanitizers.
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  const int failed = posix_spawn(&pid_, binary.c_str(), &actions, nullptr, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  close(output);
  if (failed != 0) {
    ADD_FAILURE() << binary << " cannot be started: " << strerror(failed);
    exit_ = 127;
  }
}

ChildProcess::~ChildProcess() {
  if (!exit_.has_value()) {
    kill(pid_, SIGKILL);
    Wait();
  }
  ExpectNoSecrets(Output());
  std::error_code ignored;
  std::filesystem::remove(output_path_, ignored);
}

void ChildProcess::Signal(int signal) {
  if (exit_.has_value()) return;
  kill(pid_, signal);
  if (signal != SIGSTOP) return;
  // The threads stop one after the other; waitpid returns when the last one has stopped.
  int status = 0;
  if (waitpid(pid_, &status, WUNTRACED) == pid_ && !WIFSTOPPED(status)) {
    exit_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
}

std::optional<int> ChildProcess::Wait(absl::Duration limit) {
  WaitFor(
      [&] {
        int status = 0;
        if (!exit_.has_value() && waitpid(pid_, &status, WNOHANG) == pid_) {
          exit_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
        return exit_.has_value();
      },
      limit);
  return exit_;
}

std::string ChildProcess::Output() const {
  std::ifstream in(output_path_);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

int RunProgram(const std::string& program, const std::vector<std::string>& arguments, std::string* output,
               const std::map<std::string, std::string>& environment) {
  ChildProcess process(program, arguments, environment);
  const int code = process.Wait().value_or(-1);
  if (output != nullptr) *output = process.Output();
  return code;
}

}  // namespace crosskey::testing
