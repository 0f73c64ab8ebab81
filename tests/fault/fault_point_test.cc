// Tests the fault points and the guards that can be left out.
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

TEST(FaultPoint, OnlyAGuardThatIsSqlIsLeftOutByAFlag) {
  for (const char* program : {"tests/user-service", "tests/post-service"}) {
    std::string output;
    EXPECT_EQ(RunProgram(program, {"version", "--without", "fence"}, &output), 0) << output;
    // The guard `retry` is left out by a patch instead.
    EXPECT_EQ(RunProgram(program, {"version", "--without", "retry"}, &output), 2);
    EXPECT_NE(output.find("retry is no guard in SQL"), std::string::npos) << output;
  }
}

}  // namespace
}  // namespace crosskey::testing
