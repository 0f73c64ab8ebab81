// Tests the search for secrets in the logs of all services that tests run as processes.
#include "tests/support/secrets.h"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace crosskey::testing {
namespace {

TEST(Secrets, AreNoticedWhereverTheyAre) {
  const std::string before = "{\"level\":\"info\",\"message\":\"serves\"}\n";
  ExpectNoSecrets(before);
  static std::string log;
  for (const std::string& secret :
       {absl::StrCat(kPrivate, " 7"), std::string("Bearer 0123456789abcdef0123456789abcdef-reader"),
        std::string("Bearer eyJhbGciOiJFUzI1NiJ9.e30.c2ln"), std::string("-----BEGIN EC PRIVATE KEY-----")}) {
    log = absl::StrCat(before, "{\"message\":\"", secret, "\"}\n", before);
    EXPECT_NONFATAL_FAILURE(ExpectNoSecrets(log), "is in: ");
  }
}

}  // namespace
}  // namespace crosskey::testing
