#include "tests/oracle/operations.h"

#include <algorithm>
#include <iterator>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace crosskey::testing {
namespace {

using ::relation::v1::REFERENTIAL_ACTION_CASCADE;
using ::relation::v1::REFERENTIAL_ACTION_RESTRICT;
using ::relation::v1::REFERENTIAL_ACTION_UNSPECIFIED;

constexpr size_t kMostPosts = 24;
// So few names that they are often taken. Some differ by case or normalization only, and have to be different names on
// both sides.
const char* const kNames[] = {"ada", "Ada", "ADA",    "bob", "b\u00f6b", "bo\u0308b",
                              "eve", "Eve", "\u00df", "ss",  "x",        "mallory"};
const char* const kContents[] = {"", "it's", "a\nb", "\u6f22\u5b57 \U0001f600", "content"};

template <typename T>
const T& OneOf(Random& random, const std::vector<T>& all) {
  return all[static_cast<size_t>(Between(random, 0, static_cast<int64_t>(all.size()) - 1))];
}

// Mostly picks an id that is there, but often enough one of the latest deleted ones, or one that never existed.
int64_t PickId(Random& random, const std::vector<int64_t>& live, const std::vector<int64_t>& deleted) {
  const int64_t dice = Between(random, 1, 100);
  if (dice <= 80 && !live.empty()) return OneOf(random, live);
  if (dice <= 94 && !deleted.empty()) {
    const auto last = static_cast<int64_t>(deleted.size()) - 1;
    return deleted[static_cast<size_t>(Between(random, std::max<int64_t>(0, last - 7), last))];
  }
  return kNeverExisted + Between(random, 0, 3);
}

std::string NewUuid(Random& random) {
  const uint64_t high = random();
  const uint64_t low = random();
  return absl::StrFormat("%08x-%04x-4%03x-8%03x-%012x", high >> 32, high >> 16 & 0xffff, high & 0xfff,
                         low >> 48 & 0xfff, low & 0xffffffffffff);
}

class Maker {
 public:
  Maker(Random& random, const Population& population) : random_(random), all_(population) {}

  Operation Make() {
    const int64_t dice = Between(random_, 1, 100);
    if (dice <= 10) return CreateUser();
    if (dice <= 28) return UpdateUser();
    if (dice <= 36) return DeleteUser();
    if (dice <= 52) return all_.posts.size() < kMostPosts ? CreatePosts() : DeletePost();
    if (dice <= 68) return UpdatePost();
    if (dice <= 74) return DeletePost();
    return dice <= 90 ? Like() : Unlike();
  }

 private:
  int64_t User() { return PickId(random_, all_.users, all_.deleted_users); }
  int64_t Post() { return PickId(random_, all_.posts, all_.deleted_posts); }
  std::string Name() { return kNames[Between(random_, 0, std::size(kNames) - 1)]; }
  std::string Title() { return absl::StrCat("title ", Between(random_, 1, 5)); }
  std::string Content() { return kContents[Between(random_, 0, std::size(kContents) - 1)]; }

  Operation Of(Kind kind) {
    Operation operation;
    operation.kind = kind;
    return operation;
  }

  Operation CreateUser() {
    Operation operation = Of(Kind::kCreateUser);
    operation.name = Name();
    return operation;
  }

  Operation UpdateUser() {
    Operation operation = Of(Kind::kUpdateUser);
    operation.user = User();
    const int64_t dice = Between(random_, 1, 100);
    if (dice <= 45) operation.name = Name();
    operation.sets_pin = dice > 30;
    if (operation.sets_pin && dice <= 88) {
      operation.pin = !all_.pinned.empty() && Chance(random_, 30) ? OneOf(random_, all_.pinned) : Post();
    }
    return operation;
  }

  Operation DeleteUser() {
    Operation operation = Of(Kind::kDeleteUser);
    operation.user = User();
    const int64_t dice = Between(random_, 1, 100);
    operation.action = dice <= 45   ? REFERENTIAL_ACTION_RESTRICT
                       : dice <= 72 ? REFERENTIAL_ACTION_CASCADE
                                    : REFERENTIAL_ACTION_UNSPECIFIED;
    operation.allow_missing = Chance(random_, 20);
    operation.validate_only = Chance(random_, 15);
    return operation;
  }

  Operation CreatePosts() {
    Operation operation = Of(Kind::kCreatePosts);
    operation.name = Title();
    operation.content = Content();
    const int64_t count = Chance(random_, 20) ? Between(random_, 2, 3) : 1;
    for (int64_t i = 0; i < count; ++i) operation.authors.push_back(User());
    return operation;
  }

  Operation UpdatePost() {
    Operation operation = Of(Kind::kUpdatePost);
    operation.post = Post();
    const int64_t dice = Between(random_, 1, 100);
    if (dice <= 70) operation.author = User();
    if (dice > 50) operation.name = Title();
    if (dice > 60) operation.content = Content();
    return operation;
  }

  Operation DeletePost() {
    Operation operation = Of(Kind::kDeletePost);
    operation.post = Post();
    operation.allow_missing = Chance(random_, 20);
    return operation;
  }

  Operation Like() { return OfLike(Kind::kLike, 20); }
  Operation Unlike() { return OfLike(Kind::kUnlike, 60); }

  Operation OfLike(Kind kind, int percent_there) {
    Operation operation = Of(kind);
    if (!all_.likes.empty() && Chance(random_, percent_there)) {
      std::tie(operation.post, operation.user) = OneOf(random_, all_.likes);
    } else {
      operation.post = Post();
      operation.user = User();
    }
    return operation;
  }

  Random& random_;
  const Population& all_;
};

}  // namespace

bool Chance(Random& random, int percent) { return Between(random, 1, 100) <= percent; }

int64_t Between(Random& random, int64_t low, int64_t high) {
  // Not std::uniform_int_distribution, which makes other choices with another standard library.
  return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
}

Operation RandomOperation(Random& random, const Population& population) {
  Operation operation = Maker(random, population).Make();
  if (Chance(random, 70)) {
    operation.request_id = NewUuid(random);
    operation.twice = !operation.validate_only && Chance(random, 30);
  }
  return operation;
}

std::string Describe(const Operation& operation) {
  static const char* const kNamesOfKinds[] = {"CreateUser", "UpdateUser", "DeleteUser", "CreatePosts",
                                              "UpdatePost", "DeletePost", "LikePost",   "UnlikePost"};
  std::string text = kNamesOfKinds[static_cast<int>(operation.kind)];
  if (operation.user != 0) absl::StrAppend(&text, " user=", operation.user);
  if (operation.post != 0) absl::StrAppend(&text, " post=", operation.post);
  if (!operation.authors.empty()) absl::StrAppend(&text, " authors=", absl::StrJoin(operation.authors, ","));
  if (operation.author.has_value()) absl::StrAppend(&text, " author:=", *operation.author);
  if (operation.name.has_value()) absl::StrAppend(&text, " name:='", *operation.name, "'");
  if (operation.content.has_value()) absl::StrAppend(&text, " content:='", *operation.content, "'");
  if (operation.sets_pin) absl::StrAppend(&text, " pin:=", operation.pin.value_or(0));
  if (operation.kind == Kind::kDeleteUser) {
    absl::StrAppend(&text, " ", ::relation::v1::ReferentialAction_Name(operation.action));
  }
  if (operation.allow_missing) text += " allow_missing";
  if (operation.validate_only) text += " validate_only";
  if (!operation.request_id.empty()) absl::StrAppend(&text, " request_id=", operation.request_id);
  if (operation.twice) text += " twice";
  return text;
}

}  // namespace crosskey::testing
