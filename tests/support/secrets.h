// What no log of a service may show, at any level.
#pragma once

#include <string>

namespace crosskey::testing {

// Names and texts of users have this in them where a test writes them to services whose logs are kept, so that a log
// that shows one is noticed.
inline constexpr char kPrivate[] = "Dulcinea";

// Fails the test if a log has a name or text of a user, a token, a JSON Web Token or a private key.
void ExpectNoSecrets(const std::string& log);

}  // namespace crosskey::testing
