// The main of every test program. Services log errors only, and SIGPIPE is ignored: otherwise a write to a socket that
// the peer has closed would end the program.
#include <csignal>
#include <cstdlib>
#include <string>

#include <gmock/gmock.h>

#include "common/telemetry/log.h"
#include "tests/support/grpc_library.h"
#include "tests/support/guards.h"

int main(int argc, char** argv) {
  const crosskey::testing::GrpcLibrary grpc;
  ::testing::InitGoogleMock(&argc, argv);
  std::signal(SIGPIPE, SIG_IGN);
  // For tests/mutants: leaves out one guard of the protocol. See tests/fault/README.md.
  const char* without = std::getenv("CROSSKEY_WITHOUT");
  if (without != nullptr) crosskey::testing::LeaveOut(without);
  const bool verbose = std::getenv("CROSSKEY_TEST_VERBOSE") != nullptr;
  crosskey::log::Setup(verbose ? crosskey::log::Level::kDebug : crosskey::log::Level::kError,
                       crosskey::log::Format::kText, "test");
  return RUN_ALL_TESTS();
}
