#include "tests/support/secrets.h"

#include <gtest/gtest.h>

namespace crosskey::testing {

void ExpectNoSecrets(const std::string& log) {
  // The tokens of Secured begin like the second one. A JSON Web Token is JSON in base64, and so begins like the third.
  for (const char* secret : {kPrivate, "0123456789abcdef0123456789abcdef", "eyJ", "PRIVATE KEY"}) {
    const size_t at = log.find(secret);
    EXPECT_EQ(at, std::string::npos) << secret << " is in: " << log.substr(at < 200 ? 0 : at - 200, 400);
  }
}

}  // namespace crosskey::testing
