// A random write to users, posts and likes, and how it is sent to the services.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "relation/v1/relation.pb.h"
#include "tests/support/pair.h"

namespace crosskey::testing {

using Random = std::mt19937_64;

// No row has ever had this id or a higher one.
inline constexpr int64_t kNeverExisted = 4'000'000'000;

enum class Kind { kCreateUser, kUpdateUser, kDeleteUser, kCreatePosts, kUpdatePost, kDeletePost, kLike, kUnlike };

// Its ids are all those of the oracle, or all those of the services.
struct Operation {
  Kind kind = Kind::kLike;
  int64_t user = 0;
  int64_t post = 0;
  std::optional<std::string> name;  // username or title
  std::optional<std::string> content;
  std::optional<int64_t> author;  // UpdatePost: the post's new author
  bool sets_pin = false;
  std::optional<int64_t> pin;    // none: the pin is taken away
  std::vector<int64_t> authors;  // CreatePost, or BatchCreatePosts if there are several: one post for each
  ::relation::v1::ReferentialAction action = ::relation::v1::REFERENTIAL_ACTION_UNSPECIFIED;
  bool allow_missing = false;
  bool validate_only = false;
  std::string request_id;
  bool twice = false;  // sent again with the same request_id
};

// The ids that random operations choose from.
struct Population {
  std::vector<int64_t> users;
  std::vector<int64_t> deleted_users;
  std::vector<int64_t> posts;
  std::vector<int64_t> deleted_posts;
  std::vector<int64_t> pinned;
  std::vector<std::pair<int64_t, int64_t>> likes;  // post, user
};

struct Outcome {
  std::string status;  // "OK" or code and reason: "NOT_FOUND USER_NOT_FOUND"
  std::string bytes;   // of the response
  std::vector<user::v1::User> users;
  std::vector<post::v1::Post> posts;
  std::optional<user::v1::UserDeletion> deletion;

  bool ok() const { return status == "OK"; }
};

bool Chance(Random& random, int percent);
// A number from `low` to `high`, both included.
int64_t Between(Random& random, int64_t low, int64_t high);

Operation RandomOperation(Random& random, const Population& population);
// A text for reports, with the ids that the operation has.
std::string Describe(const Operation& operation);
std::string StatusText(const grpc::Status& status);
// Makes the call, once; the ids must be those of the services.
Outcome Send(Pair& pair, const Operation& operation);

}  // namespace crosskey::testing
