// access::Policy: what a policy allows, and what is refused as a policy.
#include "common/access/policy.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace crosskey::testing {
namespace {

using access::Owner;
using access::Policy;
using access::Verb;
using ::testing::ElementsAre;

constexpr char kNobody[] = "";
constexpr char kGet[] = "/user.v1.UserService/GetUser";
constexpr char kList[] = "/post.v1.PostService/ListPosts";
constexpr char kCreate[] = "/post.v1.PostService/CreatePost";
constexpr char kDelete[] = "/user.v1.UserService/DeleteUser";
constexpr char kReflection[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
constexpr char kHealth[] = "/grpc.health.v1.Health/Check";

// A policy with these members besides its name.
Policy Of(const std::string& members) {
  auto policy = Policy::Parse(absl::StrCat(R"({"name": "test", )", members, "}"));
  EXPECT_TRUE(policy.ok()) << policy.status();
  return *std::move(policy);
}
// One with a single rule.
Policy Allowing(const std::string& rule) { return Of(absl::StrCat(R"("allow_rules": [{"name": "a", )", rule, "}]")); }

std::string PolicyError(const std::string& text) {
  const auto policy = Policy::Parse(text);
  EXPECT_EQ(policy.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(policy.status().message());
}
std::string ErrorOfRule(const std::string& rule) {
  return PolicyError(absl::StrCat(R"({"name": "test", "allow_rules": [)", rule, "]}"));
}
std::string ErrorOfOwner(const std::string& owner) {
  return PolicyError(absl::StrCat(R"({"name": "test", "allow_rules": [], "owners": [)", owner, "]}"));
}

TEST(Policy, DeniesWhatNoRuleAllows) {
  const Policy policy = Of(R"("allow_rules": [])");
  EXPECT_FALSE(policy.Allows("spiffe://blog/web", kGet));
  EXPECT_FALSE(policy.Allows(kNobody, kGet));
}

TEST(Policy, ARuleWithoutSourceIsForAnybody) {
  for (const char* source : {"", R"("source": {}, )"}) {
    const Policy policy = Allowing(absl::StrCat(source, R"("request": {"paths": ["/user.v1.UserService/GetUser"]})"));
    EXPECT_TRUE(policy.Allows(kNobody, kGet));
    EXPECT_TRUE(policy.Allows("token:web", kGet));
    EXPECT_FALSE(policy.Allows("token:web", kList));
  }
}

TEST(Policy, ARuleWithoutRequestIsForAnyMethod) {
  for (const char* request : {"", R"(, "request": {})"}) {
    const Policy policy = Allowing(absl::StrCat(R"("source": {"principals": ["token:web"]})", request));
    for (const char* path : {kGet, kList, kCreate, kDelete, kReflection}) {
      EXPECT_TRUE(policy.Allows("token:web", path)) << path;
      EXPECT_FALSE(policy.Allows("token:we", path)) << path;
      EXPECT_FALSE(policy.Allows(kNobody, path)) << path;
    }
  }
}

TEST(Policy, PatternsAreThoseOfA43) {
  const auto allows = [](const std::string& pattern, const std::string& principal) {
    return Allowing(absl::StrCat(R"("source": {"principals": [")", pattern, R"("]})")).Allows(principal, kGet);
  };
  EXPECT_TRUE(allows("abc", "abc"));
  EXPECT_FALSE(allows("abc", "abcd"));
  EXPECT_FALSE(allows("abc", "ab"));
  EXPECT_FALSE(allows("abc", "ABC"));
  EXPECT_TRUE(allows("abc*", "abc"));
  EXPECT_TRUE(allows("abc*", "abcd"));
  EXPECT_FALSE(allows("abc*", "xabc"));
  EXPECT_TRUE(allows("*abc", "abc"));
  EXPECT_TRUE(allows("*abc", "xabc"));
  EXPECT_FALSE(allows("*abc", "abcd"));
  EXPECT_TRUE(allows("*", "abc"));
  EXPECT_FALSE(allows("*", kNobody)) << "* is any that has said who it is";
}

TEST(Policy, PathsHavePatternsToo) {
  const Policy policy = Allowing(R"("request": {"paths": ["/post.v1.PostService/*", "*/GetUser"]})");
  EXPECT_TRUE(policy.Allows(kNobody, kList));
  EXPECT_TRUE(policy.Allows(kNobody, kGet));
  EXPECT_FALSE(policy.Allows(kNobody, kDelete));
}

TEST(Policy, ADenyRuleComesFirst) {
  const Policy policy = Of(R"("deny_rules": [{"name": "d", "source": {"principals": ["token:web"]},
                                              "request": {"paths": ["*/DeleteUser"]}}],
                              "allow_rules": [{"name": "a"}])");
  EXPECT_FALSE(policy.Allows("token:web", kDelete));
  EXPECT_TRUE(policy.Allows("token:web", kGet));
  EXPECT_TRUE(policy.Allows("token:batch", kDelete));
  EXPECT_TRUE(policy.Allows(kNobody, kDelete));
  EXPECT_FALSE(Of(R"("deny_rules": [{"name": "d"}], "allow_rules": [{"name": "a"}])").Allows(kNobody, kGet));
}

TEST(Policy, RolesGoByTheVerb) {
  const std::vector<std::string> paths = {kGet,    kList,      kCreate, "/post.v1.PostService/BatchGetPosts",
                                          kDelete, kReflection};
  const auto allowed = [&](const std::string& role) {
    const Policy policy = Allowing(absl::StrCat(R"("request": {"roles": [)", role, "]}"));
    std::string bits;
    for (const std::string& path : paths) bits += policy.Allows("token:web", path) ? '1' : '0';
    return bits;
  };
  EXPECT_EQ(allowed(R"("reader")"), "110100");
  EXPECT_EQ(allowed(R"("writer")"), "001000");
  EXPECT_EQ(allowed(R"("deleter")"), "000010");
  EXPECT_EQ(allowed(R"("operator")"), "111111");
  EXPECT_EQ(allowed(R"("reader", "writer", "deleter")"), "111110");
}

TEST(Policy, RolesAndPathsMustBothMatch) {
  const Policy policy = Allowing(R"("request": {"roles": ["reader"], "paths": ["/post.v1.PostService/*"]})");
  EXPECT_TRUE(policy.Allows(kNobody, kList));
  EXPECT_FALSE(policy.Allows(kNobody, kGet));
  EXPECT_FALSE(policy.Allows(kNobody, kCreate));
}

TEST(Policy, VerbsAreWords) {
  const auto verb = [](const std::string& method) { return access::VerbOf("/a.v1.B/" + method); };
  EXPECT_EQ(verb("GetUser"), Verb::kRead);
  EXPECT_EQ(verb("Get"), Verb::kRead);
  EXPECT_EQ(verb("BatchGetUsers"), Verb::kRead);
  EXPECT_EQ(verb("Getaway"), Verb::kWrite);
  EXPECT_EQ(verb("Listen"), Verb::kWrite);
  EXPECT_EQ(verb("getUser"), Verb::kWrite);
  EXPECT_EQ(verb("DeletePost"), Verb::kDelete);
  EXPECT_EQ(verb("BatchDeletePosts"), Verb::kDelete);
  EXPECT_EQ(verb("UndeletePost"), Verb::kWrite);
  EXPECT_EQ(verb("UnlikePost"), Verb::kWrite);
  EXPECT_EQ(access::VerbOf("/grpc.channelz.v1.Channelz/GetServers"), Verb::kLibrary);
  for (const char* path : {"", "/", "//", "GetUser", "a/GetUser", "/GetUser", "//GetUser", "/a/", "/a/b/GetUser"}) {
    EXPECT_EQ(access::VerbOf(path), Verb::kNone) << path;
  }
}

TEST(Policy, WhatIsNoMethodIsForOperatorsOnly) {
  EXPECT_FALSE(Allowing(R"("request": {"roles": ["reader", "writer", "deleter"]})").Allows(kNobody, "/GetUser"));
  EXPECT_TRUE(Allowing(R"("request": {"roles": ["operator"]})").Allows(kNobody, "/GetUser"));
}

TEST(Policy, IsNotAskedAboutHealth) {
  const Policy policy = Of(R"("deny_rules": [{"name": "d"}], "allow_rules": [])");
  EXPECT_TRUE(policy.Allows(kNobody, kHealth));
  EXPECT_FALSE(policy.Allows(kNobody, "/grpc.health.v1.HealthX/Check"));
}

TEST(Policy, FindsRulesByPrincipalAndByPattern) {
  // Every third rule names the principal, has a pattern, or is for others.
  std::vector<std::string> rules;
  for (int i = 0; i < 300; ++i) {
    const std::string principal = i % 3 == 0 ? "token:web" : i % 3 == 1 ? "token:w*" : "token:batch";
    rules.push_back(absl::StrCat(R"({"name": "r)", i, R"(", "source": {"principals": ["other", ")", principal,
                                 R"("]}, "request": {"paths": ["/a.v1.B/M)", i, R"("]}})"));
  }
  const Policy policy = Of(absl::StrCat(R"("allow_rules": [)", absl::StrJoin(rules, ","), "]"));
  for (int i = 0; i < 300; ++i) {
    const std::string path = absl::StrCat("/a.v1.B/M", i);
    EXPECT_EQ(policy.Allows("token:web", path), i % 3 != 2) << path;
    EXPECT_EQ(policy.Allows("token:batch", path), i % 3 == 2) << path;
    EXPECT_TRUE(policy.Allows("other", path)) << path;
    EXPECT_FALSE(policy.Allows(kNobody, path)) << path;
  }
}

TEST(Policy, TheFirstOwnerThatMatchesDecides) {
  const Policy policy = Of(R"("allow_rules": [], "owners": [
      {"principals": ["token:a*"], "user_id": "9223372036854775807"},
      {"principals": ["token:ada", "token:bob"], "user_id": 7},
      {"principals": ["jwt:https://login#*"], "claim": "user_id"},
      {"principals": ["token:*"], "user_id": 8}])");
  EXPECT_EQ(policy.OwnerOf("token:ada")->user, 9223372036854775807);
  EXPECT_EQ(policy.OwnerOf("token:bob")->user, 7);
  EXPECT_EQ(policy.OwnerOf("token:eve")->user, 8);
  EXPECT_EQ(policy.OwnerOf("jwt:https://login#ada")->claim, "user_id");
  EXPECT_EQ(policy.OwnerOf("jwt:https://other#ada"), nullptr);
  EXPECT_EQ(policy.OwnerOf(kNobody), nullptr);
  EXPECT_EQ(policy.owners(), 4U);
}

TEST(Policy, NamesItsRules) {
  const Policy policy = Of(R"("deny_rules": [{"name": "x"}], "allow_rules": [{"name": "x"}, {"name": "y"}])");
  EXPECT_EQ(policy.name(), "test");
  EXPECT_THAT(policy.DenyRules(), ElementsAre("x"));
  EXPECT_THAT(policy.AllowRules(), ElementsAre("x", "y"));
}

TEST(Policy, ErrorsNameThePlace) {
  EXPECT_EQ(PolicyError("{\n\n\"name\" 1}"), "line 3: is not JSON");
  EXPECT_EQ(PolicyError(""), "line 1: is not JSON");
  EXPECT_EQ(PolicyError("{} {}"), "line 1: is not JSON");
  EXPECT_EQ(PolicyError("[]"), "is not an object");
  EXPECT_EQ(PolicyError(R"({"allow_rules": []})"), "name: is missing");
  EXPECT_EQ(PolicyError(R"({"name": 1, "allow_rules": []})"), "name: is not a text");
  EXPECT_EQ(PolicyError(R"({"name": "test"})"), "allow_rules: is missing");
  EXPECT_EQ(PolicyError(R"({"name": "test", "allow_rules": {}})"), "allow_rules: is not a list");
  EXPECT_EQ(PolicyError(R"({"name": "test", "allow_rules": [], "owners": {}})"), "owners: is not a list");
  EXPECT_EQ(PolicyError(R"({"name": "test", "allow_rule": []})"),
            "allow_rule: is not one of name, deny_rules, allow_rules, owners");
  EXPECT_EQ(PolicyError(R"({"name": "test", "a b": []})"), "?: is not one of name, deny_rules, allow_rules, owners");
  EXPECT_EQ(ErrorOfRule("7"), "allow_rules[0]: is not an object");
  EXPECT_EQ(ErrorOfRule("{}"), "allow_rules[0].name: is missing");
  EXPECT_EQ(ErrorOfRule(R"({"name": ""})"), "allow_rules[0].name: is empty");
  EXPECT_EQ(ErrorOfRule(R"({"name": "a\u0000"})"), "allow_rules[0].name: has a control character");
  EXPECT_EQ(ErrorOfRule(R"({"name": "a", "sources": {}})"),
            "allow_rules[0].sources: is not one of name, source, request");
  EXPECT_EQ(ErrorOfRule(R"({"name": "a"}, {"name": "b"}, {"name": "a"})"),
            "allow_rules[2].name: is also that of allow_rules[0]");
  EXPECT_EQ(ErrorOfRule(R"({"name": "a", "source": []})"), "allow_rules[0].source: is not an object");
  EXPECT_EQ(ErrorOfRule(R"({"name": "a", "source": {"principal": []}})"),
            "allow_rules[0].source.principal: is not one of principals");
  EXPECT_EQ(ErrorOfRule(R"({"name": "a", "source": {"principals": "x"}})"),
            "allow_rules[0].source.principals: is not a list");
  EXPECT_EQ(ErrorOfRule(R"({"name": "a", "source": {"principals": []}})"),
            "allow_rules[0].source.principals: is empty; leave it out if it does not matter");
  EXPECT_EQ(ErrorOfRule(R"({"name": "a", "source": {"principals": ["x", ""]}})"),
            "allow_rules[0].source.principals[1]: is empty");
  EXPECT_EQ(ErrorOfRule(R"({"name": "a", "source": {"principals": [7]}})"),
            "allow_rules[0].source.principals[0]: is not a text");
  for (const char* pattern : {"a*b", "**", "*a*", "a**"}) {
    EXPECT_EQ(ErrorOfRule(absl::StrCat(R"({"name": "a", "source": {"principals": [")", pattern, R"("]}})")),
              "allow_rules[0].source.principals[0]: has a * that is not its only one, at an end");
  }
  EXPECT_EQ(ErrorOfRule(R"({"name": "a", "request": 7})"), "allow_rules[0].request: is not an object");
  EXPECT_EQ(ErrorOfRule(R"({"name": "a", "request": {"headers": []}})"),
            "allow_rules[0].request.headers: is not supported; rules go by paths or roles");
  EXPECT_EQ(ErrorOfRule(R"({"name": "a", "request": {"paths": []}})"),
            "allow_rules[0].request.paths: is empty; leave it out if it does not matter");
  EXPECT_EQ(ErrorOfRule(R"({"name": "a", "request": {"paths": ["/a.B/C", "a.B/C"]}})"),
            "allow_rules[0].request.paths[1]: begins neither with / nor with *");
  EXPECT_EQ(ErrorOfRule(R"({"name": "a", "request": {"roles": []}})"),
            "allow_rules[0].request.roles: is empty; leave it out if it does not matter");
  EXPECT_EQ(ErrorOfRule(R"({"name": "a", "request": {"roles": ["reader", "owner"]}})"),
            "allow_rules[0].request.roles[1]: is not one of reader, writer, deleter, operator");
  EXPECT_EQ(ErrorOfRule(R"({"name": "a", "request": {"roles": [1]}})"),
            "allow_rules[0].request.roles[0]: is not one of reader, writer, deleter, operator");
}

TEST(Policy, ErrorsOfOwnersNameThePlace) {
  EXPECT_EQ(ErrorOfOwner(R"({"user_id": 1})"), "owners[0].principals: is missing");
  EXPECT_EQ(ErrorOfOwner(R"({"principals": [], "user_id": 1})"),
            "owners[0].principals: is empty; leave it out if it does not matter");
  EXPECT_EQ(ErrorOfOwner(R"({"principals": ["a"]})"), "owners[0]: has not exactly one of user_id, claim");
  EXPECT_EQ(ErrorOfOwner(R"({"principals": ["jwt:a"], "user_id": 1, "claim": "x"})"),
            "owners[0]: has not exactly one of user_id, claim");
  EXPECT_EQ(ErrorOfOwner(R"({"principals": ["jwt:a"], "claim": ""})"), "owners[0].claim: is empty");
  EXPECT_EQ(ErrorOfOwner(R"({"principals": ["jwt:a", "*"], "claim": "x"})"),
            "owners[0].principals[1]: does not begin with jwt:, and only a JSON Web Token has claims");
  EXPECT_EQ(ErrorOfOwner(R"({"principals": ["a"], "user_id": 1, "may": 1})"),
            "owners[0].may: is not one of principals, user_id, claim");
  for (const char* id : {"0", "-1", "1.0", "1e3", "9223372036854775808", "true", "null", R"("")", R"("0")", R"("07")",
                         R"("+7")", R"("7 ")", R"("9223372036854775808")"}) {
    EXPECT_EQ(ErrorOfOwner(absl::StrCat(R"({"principals": ["a"], "user_id": )", id, "}")),
              "owners[0].user_id: is not a whole number from 1 to 2^63 - 1")
        << id;
  }
}

TEST(Policy, AMemberMayNotBeThereTwice) {
  EXPECT_EQ(PolicyError(R"({"name": "a", "allow_rules": [{"name": "x"}, {"name": "y", "source": {}, "source": {}}]})"),
            "allow_rules[1].source: is there twice");
  EXPECT_EQ(PolicyError(R"({"name": "a", "allow_rules": [], "n\u0061me": "b"})"), "name: is there twice");
}

TEST(Policy, NestingHasALimit) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(PolicyError(nested(access::kPolicyBytes / 2)),
            "[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]: "
            "is nested in more than 16");
  EXPECT_EQ(PolicyError(nested(16)), "is not an object");
}

TEST(Policy, HasLimits) {
  const std::string begin = R"({"name": "a", "allow_rules": []})";
  EXPECT_TRUE(Policy::Parse(begin + std::string(access::kPolicyBytes - begin.size(), ' ')).ok());
  EXPECT_EQ(PolicyError(begin + std::string(access::kPolicyBytes - begin.size() + 1, ' ')),
            "has more than 262144 bytes");

  const auto rules = [](int first, int count) {
    std::vector<std::string> all;
    for (int i = first; i < first + count; ++i) all.push_back(absl::StrCat(R"({"name": "r)", i, R"("})"));
    return absl::StrCat("[", absl::StrJoin(all, ","), "]");
  };
  const auto policy = [&](int deny, int allow) {
    return absl::StrCat(R"({"name": "a", "deny_rules": )", rules(0, deny), R"(, "allow_rules": )", rules(deny, allow),
                        "}");
  };
  EXPECT_TRUE(Policy::Parse(policy(400, 600)).ok());
  EXPECT_EQ(PolicyError(policy(400, 601)), "has more than 1000 rules");

  EXPECT_EQ(ErrorOfRule(absl::StrCat(R"({"name": ")", std::string(101, 'x'), R"("})")),
            "allow_rules[0].name: has more than 100 bytes");
  EXPECT_EQ(
      ErrorOfRule(absl::StrCat(R"({"name": "a", "source": {"principals": [")", std::string(1001, 'x'), R"("]}})")),
      "allow_rules[0].source.principals[0]: has more than 1000 bytes");
  EXPECT_EQ(ErrorOfOwner(absl::StrCat(R"({"principals": ["jwt:a"], "claim": ")", std::string(101, 'x'), R"("})")),
            "owners[0].claim: has more than 100 bytes");
}

TEST(Policy, ErrorsTellNothingOfTheText) {
  for (const char* text : {R"({"name": "s3cret)", R"({"name": "a", "allow_rules": "s3cret"})",
                           R"({"name": "a", "allow_rules": [{"name": "a", "request": {"roles": ["s3cret"]}}]})"}) {
    EXPECT_THAT(PolicyError(text), ::testing::Not(::testing::HasSubstr("s3cret")));
  }
}

}  // namespace
}  // namespace crosskey::testing
