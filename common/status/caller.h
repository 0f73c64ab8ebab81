// Who makes a call.
#pragma once

#include <cstdint>
#include <string>

namespace crosskey {

// What is known of the caller of one call. The names of principals have one form for each way to prove who one is, so
// that none can be taken for another:
//
//   a certificate       its only URI, "spiffe://blog/web", or without any URI its only DNS name, "web.blog"
//   a token of a file   "token:NAME"
//   a JSON Web Token    "jwt:ISSUER#SUBJECT"
struct Caller {
  std::string principal;  // empty: nobody, who has not said who it is
  int64_t user = 0;       // the only user in whose name it may write; 0: it may write in any name
  bool may_write = true;  // false: its token should name a user, and does not
};

}  // namespace crosskey
