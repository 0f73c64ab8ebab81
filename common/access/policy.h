// The access policy: who may call which method, and in whose name. The file has the format of gRPC's authorization
// policy (gRFC A43), as far as that reaches, and three additions.
//
//   {
//     "name": "blog",
//     "deny_rules":  [{"name": "frozen", "request": {"paths": ["*/DeleteUser"]}}],
//     "allow_rules": [{"name": "web",
//                      "source":  {"principals": ["spiffe://blog/web", "jwt:https://login.example#*"]},
//                      "request": {"roles": ["reader", "writer"], "paths": ["/post.v1.PostService/*"]}}],
//     "owners":      [{"principals": ["token:ada"], "user_id": "7"},
//                     {"principals": ["jwt:https://login.example#*"], "claim": "user_id"}]
//   }
//
// As in A43: a call that a deny rule matches is denied. Else it is allowed if an allow rule matches, and else denied. A
// rule matches if its source and its request do. Without `source` that is anybody, also somebody who has not said who
// it is; without `request` it is any method. A pattern is a whole text, "prefix*", "*suffix", or "*": any that is not
// empty. No pattern matches a caller who has not said who it is.
//
// Not as in A43: `headers` are refused, and so are empty lists and patterns, which A43 gives a meaning that is easily
// overlooked; the subject of a certificate is no principal.
//
// Additions: `roles` of a request go by the verb with which AIPs let the name of a method begin. If a request has paths
// too, both must match.
//
//   reader    Get*, List*, BatchGet*
//   deleter   Delete*, BatchDelete*
//   writer    every other method
//   operator  all of them, and the packages grpc.*: no other role has those
//
// `owners` binds principals to the only user in whose name they may write. The first entry that matches decides; a
// principal that none matches may write in any name. `claim` names the claim of a JSON Web Token that has the id of the
// user, as digits or as a number.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crosskey::access {

inline constexpr int kPolicyBytes = 256 * 1024;
inline constexpr int kPolicyRules = 1000;    // deny rules and allow rules together
inline constexpr int kRuleNameBytes = 100;   // also of the policy
inline constexpr int kPatternBytes = 1000;   // of a principal or a path
inline constexpr int kClaimNameBytes = 100;  // of an owner

// What a method does, by its name.
enum class Verb {
  kRead,
  kWrite,
  kDelete,
  kLibrary,  // of a package grpc.*
  kNone,     // it is not "/PACKAGE.SERVICE/METHOD"
};
Verb VerbOf(absl::string_view path);

// The service that says whether a process is well. Whoever reaches the listener may ask it.
bool IsHealth(absl::string_view path);

// Principals or paths.
class Patterns {
 public:
  // INVALID_ARGUMENT if it is none.
  absl::Status Add(const std::string& pattern, const std::string& place);
  bool Match(absl::string_view text) const;

  const std::set<std::string, std::less<>>& exact() const { return exact_; }
  bool OnlyExact() const { return !any_ && prefixes_.empty() && suffixes_.empty(); }

 private:
  std::set<std::string, std::less<>> exact_;
  std::vector<std::string> prefixes_;
  std::vector<std::string> suffixes_;
  bool any_ = false;
};

// What `owners` says of a principal.
struct Owner {
  int64_t user = 0;   // if there is no claim
  std::string claim;  // has the user
};

// Never changes once it is made.
class Policy {
 public:
  // INVALID_ARGUMENT with the place in the file and the reason.
  static absl::StatusOr<Policy> Parse(absl::string_view text);

  // `principal` is empty for a caller who has not said who it is. Looks only at the rules that name the principal and
  // at those with a `*` or without a source.
  bool Allows(const std::string& principal, absl::string_view path) const;

  // Null: it may write in any name.
  const Owner* OwnerOf(const std::string& principal) const;

  const std::string& name() const { return name_; }
  std::vector<std::string> DenyRules() const { return Names(deny_); }
  std::vector<std::string> AllowRules() const { return Names(allow_); }
  size_t owners() const { return owners_.size(); }

 private:
  struct Rule {
    std::string name;
    bool anybody = true;  // has no source
    Patterns principals;
    bool any_path = true;
    Patterns paths;
    unsigned verbs = ~0U;  // a bit for each that its roles have
  };
  // By which principals things are found.
  struct Index {
    void Add(const Patterns& patterns, bool anybody, size_t thing);

    std::unordered_map<std::string, std::vector<size_t>> exact;  // ascending
    std::vector<size_t> others;                                  // ascending
  };
  struct Rules {
    std::vector<Rule> rules;
    Index index;
  };
  struct Binding {
    Patterns principals;
    Owner owner;
  };
  struct Parser;

  static bool Match(const Rules& rules, const std::string& principal, absl::string_view path, unsigned verb);
  static std::vector<std::string> Names(const Rules& rules);

  std::string name_;
  Rules deny_;
  Rules allow_;
  std::vector<Binding> owners_;
  Index owners_index_;
};

}  // namespace crosskey::access
