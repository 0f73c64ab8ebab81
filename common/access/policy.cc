#include "common/access/policy.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/access/strict_json.h"
#include "common/status/macros.h"

namespace crosskey::access {
namespace {

using nlohmann::json;

constexpr unsigned Bit(Verb verb) { return 1U << static_cast<unsigned>(verb); }

// "Get" is the verb of "Get" and "GetUser", and not that of "Getaway".
bool HasVerb(absl::string_view method, absl::string_view verb) {
  return absl::StartsWith(method, verb) &&
         (method.size() == verb.size() || !absl::ascii_islower(static_cast<unsigned char>(method[verb.size()])));
}

absl::StatusOr<unsigned> ReadRoles(const json& roles, const std::string& path) {
  static const auto* const verbs = new std::map<std::string, unsigned>{
      {"reader", Bit(Verb::kRead)}, {"writer", Bit(Verb::kWrite)}, {"deleter", Bit(Verb::kDelete)}, {"operator", ~0U}};
  CROSSKEY_RETURN_IF_ERROR(CheckList(roles, path));
  unsigned all = 0;
  for (size_t i = 0; i < roles.size(); ++i) {
    const auto verb = roles[i].is_string() ? verbs->find(roles[i].get_ref<const std::string&>()) : verbs->end();
    if (verb == verbs->end()) return Bad(Element(path, i), "is not one of reader, writer, deleter, operator");
    all |= verb->second;
  }
  return all;
}

absl::StatusOr<Patterns> ReadPatterns(const json& list, const std::string& path) {
  CROSSKEY_RETURN_IF_ERROR(CheckList(list, path));
  Patterns patterns;
  for (size_t i = 0; i < list.size(); ++i) {
    CROSSKEY_ASSIGN_OR_RETURN(const std::string pattern, ReadText(list[i], Element(path, i), kPatternBytes));
    CROSSKEY_RETURN_IF_ERROR(patterns.Add(pattern, Element(path, i)));
  }
  return patterns;
}

}  // namespace

Verb VerbOf(absl::string_view path) {
  const size_t slash = path.rfind('/');
  const bool is_method = slash != absl::string_view::npos && slash > 1 && path.find('/', 1) == slash;
  if (!is_method || path[0] != '/' || slash + 1 == path.size()) return Verb::kNone;
  if (absl::StartsWith(path, "/grpc.")) return Verb::kLibrary;
  const absl::string_view method = path.substr(slash + 1);
  if (HasVerb(method, "Get") || HasVerb(method, "List") || HasVerb(method, "BatchGet")) return Verb::kRead;
  if (HasVerb(method, "Delete") || HasVerb(method, "BatchDelete")) return Verb::kDelete;
  return Verb::kWrite;
}

bool IsHealth(absl::string_view path) { return absl::StartsWith(path, "/grpc.health.v1.Health/"); }

absl::Status Patterns::Add(const std::string& pattern, const std::string& place) {
  const bool begins = pattern.front() == '*';
  const bool ends = pattern.back() == '*' && pattern.size() > 1;
  const auto stars = std::count(pattern.begin(), pattern.end(), '*');
  if (stars > 1 || (stars == 1 && !begins && !ends)) return Bad(place, "has a * that is not its only one, at an end");
  if (pattern == "*") {
    any_ = true;
  } else if (begins) {
    suffixes_.push_back(pattern.substr(1));
  } else if (ends) {
    prefixes_.push_back(pattern.substr(0, pattern.size() - 1));
  } else {
    exact_.insert(pattern);
  }
  return absl::OkStatus();
}

bool Patterns::Match(absl::string_view text) const {
  if (text.empty()) return false;
  if (any_) return true;
  for (const std::string& prefix : prefixes_) {
    if (absl::StartsWith(text, prefix)) return true;
  }
  for (const std::string& suffix : suffixes_) {
    if (absl::EndsWith(text, suffix)) return true;
  }
  return exact_.find(text) != exact_.end();
}

void Policy::Index::Add(const Patterns& patterns, bool anybody, size_t thing) {
  for (const std::string& principal : patterns.exact()) exact[principal].push_back(thing);
  if (anybody || !patterns.OnlyExact()) others.push_back(thing);
}

struct Policy::Parser {
  static absl::StatusOr<Rule> ReadRule(const json& value, const std::string& path) {
    Rule rule;
    CROSSKEY_RETURN_IF_ERROR(CheckMembers(value, path, {"name", "source", "request"}));
    CROSSKEY_ASSIGN_OR_RETURN(rule.name, ReadMember(value, path, "name", kRuleNameBytes));
    if (value.contains("source")) {
      const json& source = value["source"];
      const std::string at = Member(path, "source");
      CROSSKEY_RETURN_IF_ERROR(CheckMembers(source, at, {"principals"}));
      if (source.contains("principals")) {
        CROSSKEY_ASSIGN_OR_RETURN(rule.principals, ReadPatterns(source["principals"], Member(at, "principals")));
        rule.anybody = false;
      }
    }
    if (value.contains("request")) {
      const json& request = value["request"];
      const std::string at = Member(path, "request");
      if (request.contains("headers"))
        return Bad(Member(at, "headers"), "is not supported; rules go by paths or roles");
      CROSSKEY_RETURN_IF_ERROR(CheckMembers(request, at, {"paths", "roles"}));
      if (request.contains("paths")) {
        CROSSKEY_RETURN_IF_ERROR(CheckPaths(request["paths"], Member(at, "paths")));
        CROSSKEY_ASSIGN_OR_RETURN(rule.paths, ReadPatterns(request["paths"], Member(at, "paths")));
        rule.any_path = false;
      }
      if (request.contains("roles")) {
        CROSSKEY_ASSIGN_OR_RETURN(rule.verbs, ReadRoles(request["roles"], Member(at, "roles")));
      }
    }
    return rule;
  }

  // A path without its first slash would match nothing: in a deny rule that is easily overlooked.
  static absl::Status CheckPaths(const json& paths, const std::string& path) {
    for (size_t i = 0; i < paths.size(); ++i) {
      const std::string* text = paths[i].get_ptr<const std::string*>();
      if (text == nullptr || text->empty() || text->front() == '/' || text->front() == '*') continue;
      return Bad(Element(path, i), "begins neither with / nor with *");
    }
    return absl::OkStatus();
  }

  static absl::Status ReadRules(const json& policy, const std::string& name, Rules& rules) {
    if (!policy.contains(name)) return absl::OkStatus();
    const json& list = policy[name];
    if (!list.is_array()) return Bad(name, "is not a list");
    std::map<std::string, size_t> names;
    for (size_t i = 0; i < list.size(); ++i) {
      CROSSKEY_ASSIGN_OR_RETURN(Rule rule, ReadRule(list[i], Element(name, i)));
      const auto [first, is_new] = names.emplace(rule.name, i);
      if (!is_new) {
        return Bad(Member(Element(name, i), "name"), absl::StrCat("is also that of ", Element(name, first->second)));
      }
      rules.index.Add(rule.principals, rule.anybody, i);
      rules.rules.push_back(std::move(rule));
    }
    return absl::OkStatus();
  }

  static absl::StatusOr<Binding> ReadOwner(const json& value, const std::string& path) {
    Binding binding;
    CROSSKEY_RETURN_IF_ERROR(CheckMembers(value, path, {"principals", "user_id", "claim"}));
    const std::string principals = Member(path, "principals");
    if (!value.contains("principals")) return Bad(principals, "is missing");
    CROSSKEY_ASSIGN_OR_RETURN(binding.principals, ReadPatterns(value["principals"], principals));
    if (value.contains("user_id") == value.contains("claim")) return Bad(path, "has not exactly one of user_id, claim");
    if (value.contains("user_id")) {
      const auto user = ReadUserId(value["user_id"]);
      if (!user.has_value()) return Bad(Member(path, "user_id"), "is not a whole number from 1 to 2^63 - 1");
      binding.owner.user = *user;
      return binding;
    }
    CROSSKEY_ASSIGN_OR_RETURN(binding.owner.claim, ReadMember(value, path, "claim", kClaimNameBytes));
    for (size_t i = 0; i < value["principals"].size(); ++i) {
      if (absl::StartsWith(value["principals"][i].get_ref<const std::string&>(), "jwt:")) continue;
      return Bad(Element(principals, i), "does not begin with jwt:, and only a JSON Web Token has claims");
    }
    return binding;
  }
};

absl::StatusOr<Policy> Policy::Parse(absl::string_view text) {
  if (text.size() > kPolicyBytes) return Bad("", absl::StrCat("has more than ", kPolicyBytes, " bytes"));
  CROSSKEY_ASSIGN_OR_RETURN(const json value, ParseJson(text));
  CROSSKEY_RETURN_IF_ERROR(CheckMembers(value, "", {"name", "deny_rules", "allow_rules", "owners"}));
  Policy policy;
  CROSSKEY_ASSIGN_OR_RETURN(policy.name_, ReadMember(value, "", "name", kRuleNameBytes));
  if (!value.contains("allow_rules")) return Bad("allow_rules", "is missing");
  CROSSKEY_RETURN_IF_ERROR(Parser::ReadRules(value, "deny_rules", policy.deny_));
  CROSSKEY_RETURN_IF_ERROR(Parser::ReadRules(value, "allow_rules", policy.allow_));
  if (policy.deny_.rules.size() + policy.allow_.rules.size() > kPolicyRules) {
    return Bad("", absl::StrCat("has more than ", kPolicyRules, " rules"));
  }
  if (!value.contains("owners")) return policy;
  const json& owners = value["owners"];
  if (!owners.is_array()) return Bad("owners", "is not a list");
  for (size_t i = 0; i < owners.size(); ++i) {
    CROSSKEY_ASSIGN_OR_RETURN(Binding binding, Parser::ReadOwner(owners[i], Element("owners", i)));
    policy.owners_index_.Add(binding.principals, /*anybody=*/false, i);
    policy.owners_.push_back(std::move(binding));
  }
  return policy;
}

bool Policy::Match(const Rules& rules, const std::string& principal, absl::string_view path, unsigned verb) {
  const auto requested = [&](const Rule& rule) {
    return (rule.verbs & verb) != 0 && (rule.any_path || rule.paths.Match(path));
  };
  for (const size_t i : rules.index.others) {
    const Rule& rule = rules.rules[i];
    if (requested(rule) && (rule.anybody || rule.principals.Match(principal))) return true;
  }
  const auto own = rules.index.exact.find(principal);
  if (own == rules.index.exact.end()) return false;
  return std::any_of(own->second.begin(), own->second.end(), [&](size_t i) { return requested(rules.rules[i]); });
}

bool Policy::Allows(const std::string& principal, absl::string_view path) const {
  if (IsHealth(path)) return true;
  const unsigned verb = Bit(VerbOf(path));
  return !Match(deny_, principal, path, verb) && Match(allow_, principal, path, verb);
}

const Owner* Policy::OwnerOf(const std::string& principal) const {
  const auto own = owners_index_.exact.find(principal);
  size_t first = own == owners_index_.exact.end() ? owners_.size() : own->second.front();
  for (const size_t i : owners_index_.others) {
    if (i >= first) break;
    if (owners_[i].principals.Match(principal)) first = i;
  }
  return first == owners_.size() ? nullptr : &owners_[first].owner;
}

std::vector<std::string> Policy::Names(const Rules& rules) {
  std::vector<std::string> names;
  names.reserve(rules.rules.size());
  for (const Rule& rule : rules.rules) names.push_back(rule.name);
  return names;
}

}  // namespace crosskey::access
