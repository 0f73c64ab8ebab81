// rpc::ParseInstance: how a call between the services names its two sides.
#include <gtest/gtest.h>

#include "common/rpc/channel.h"

namespace crosskey::testing {
namespace {

constexpr char kId[] = "5b4f2f57-5d3e-4a8e-9d1c-0f2b3c4d5e6f";

TEST(InstanceTest, IsReadAsItIsWritten) {
  for (const Instance& instance : {Instance{"user-service", kId}, Instance{"user-service", ""}}) {
    EXPECT_EQ(rpc::ParseInstance(rpc::FormatInstance(instance)), instance);
  }
  EXPECT_EQ(rpc::FormatInstance({"user-service", kId}), std::string("user-service/") + kId);
}

TEST(InstanceTest, OtherFormsAreNoInstance) {
  const std::string id = kId;
  const std::vector<std::string> texts = {
      "",
      "/" + id,
      "user-service/",
      "user-service/" + id.substr(1),
      "user-service/" + id + "0",
      "user-service/" + id.substr(1) + "\n",
      "user service/" + id,
      "user-service/" + id.substr(2) + "\xc3\xa9",
      std::string(41, 'a') + "/" + id,
      "user-service/" + id + "/" + id,
      std::string("user-service\0/", 14) + id,
  };
  for (const std::string& text : texts) {
    EXPECT_EQ(rpc::ParseInstance(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace crosskey::testing
