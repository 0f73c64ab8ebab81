// The fault points themselves.
#include <gtest/gtest.h>

#include "tests/support/child_process.h"

namespace crosskey::testing {
namespace {

TEST(FaultPoint, TheShippedServicesKnowNoFaults) {
  for (const char* program : {"user-service/user-service", "post-service/post-service"}) {
    for (const char* flag : {"--fault", "--without"}) {
      std::string output;
      EXPECT_EQ(RunProgram(program, {"version", flag, "x"}, &output), 2);
      EXPECT_NE(output.find(flag), std::string::npos) << output;
    }
  }
}

}  // namespace
}  // namespace crosskey::testing
