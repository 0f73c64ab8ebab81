#include "common/access/access.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/access/json_web_token.h"
#include "common/access/policy.h"
#include "common/access/token_file.h"
#include "common/status/errors.h"
#include "common/status/macros.h"

namespace crosskey::access {
namespace {

constexpr absl::string_view kScheme = "bearer ";

const std::shared_ptr<const Caller>& Nobody() {
  static const auto* const nobody = new std::shared_ptr<const Caller>(std::make_shared<Caller>());
  return *nobody;
}

// The characters of a bearer token (RFC 6750).
bool IsTokenCharacter(unsigned char c) { return absl::ascii_isalnum(c) || absl::StrContains("-._~+/=", c); }

// Of a name of a certificate. A URI has a scheme, and a DNS name has no colon: neither can be taken for the other. Nor
// for the principal of a token.
bool CanBePrincipal(const std::string& name, bool is_uri) {
  return !name.empty() && name.size() <= kCertificateNameBytes && absl::StrContains(name, ":") == is_uri &&
         !absl::StartsWith(name, "token:") && !absl::StartsWith(name, "jwt:") &&
         std::all_of(name.begin(), name.end(), absl::ascii_isgraph);
}

Caller Bound(const Policy* policy, std::string principal, const std::map<std::string, int64_t>& ids) {
  Caller caller;
  caller.principal = std::move(principal);
  const Owner* owner = policy == nullptr ? nullptr : policy->OwnerOf(caller.principal);
  if (owner == nullptr) return caller;
  caller.user = owner->user;
  if (owner->claim.empty()) return caller;
  const auto id = ids.find(owner->claim);
  caller.may_write = id != ids.end();
  if (caller.may_write) caller.user = id->second;
  return caller;
}

// The token of a header `authorization`; empty if there is none.
absl::string_view BearerToken(absl::string_view header) {
  if (!absl::StartsWithIgnoreCase(header, kScheme)) return "";
  header.remove_prefix(kScheme.size());
  while (absl::ConsumePrefix(&header, " ")) continue;
  return header;
}

}  // namespace

absl::Status CheckOptions(const Options& options) {
  const int given = static_cast<int>(!options.jwt_keys.empty()) + static_cast<int>(!options.jwt_issuer.empty()) +
                    static_cast<int>(!options.jwt_audience.empty());
  if (given == 0) return absl::OkStatus();
  if (given != 3) {
    return absl::InvalidArgumentError("JSON Web Tokens need keys, issuer and audience, and not all three are given");
  }
  CROSSKEY_RETURN_IF_ERROR(CheckIssuer(options.jwt_issuer));
  return CheckAudience(options.jwt_audience);
}

Access::Access(telemetry::Metrics& metrics, Clock now)
    : now_(std::move(now)), files_(metrics), state_(std::make_shared<State>()) {}

absl::StatusOr<std::unique_ptr<Access>> Access::Load(const Options& options, telemetry::Metrics& metrics, Clock now) {
  CROSSKEY_RETURN_IF_ERROR(CheckOptions(options));
  std::unique_ptr<Access> access(new Access(metrics, std::move(now)));
  CROSSKEY_RETURN_IF_ERROR(access->Watch("policy", options.policy, kPolicyBytes, &State::policy, Policy::Parse));
  CROSSKEY_RETURN_IF_ERROR(access->Watch("tokens", options.tokens, kTokenFileBytes, &State::tokens, TokenFile::Parse));
  const auto parse_keys = [options](const std::string& content) {
    return JsonWebTokens::Parse(content, options.jwt_issuer, options.jwt_audience);
  };
  CROSSKEY_RETURN_IF_ERROR(access->Watch("jwt_keys", options.jwt_keys, kKeyFileBytes, &State::jwts, parse_keys));
  return access;
}

template <typename Part, typename Parse>
absl::Status Access::Watch(const std::string& name, const std::string& path, size_t max_bytes,
                           std::shared_ptr<const Part> State::*place, Parse parse) {
  if (path.empty()) return absl::OkStatus();
  return files_.Add(name, {path}, max_bytes, [this, path, place, parse](const auto& contents) {
    absl::StatusOr<Part> part = parse(contents[0]);
    if (!part.ok()) return absl::InvalidArgumentError(absl::StrCat(path, ": ", part.status().message()));
    Put(place, *std::move(part));
    return absl::OkStatus();
  });
}

template <typename Part>
void Access::Put(std::shared_ptr<const Part> State::*place, Part part) {
  auto next = std::make_shared<State>(*Current());
  (*next).*place = std::make_shared<const Part>(std::move(part));
  next->verified = std::make_shared<Verified>();
  const std::lock_guard<std::mutex> lock(mutex_);
  state_ = std::move(next);
}

std::shared_ptr<const Access::State> Access::Current() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return state_;
}

Access::Identified Access::Authenticate(const Presented& presented) const {
  const std::shared_ptr<const State> state = Current();
  if (presented.authorizations > 0 && !state->IsEmpty()) return ByHeader(*state, presented);
  if (!presented.has_certificate) return Nobody();
  const bool is_uri = !presented.uris.empty();
  const std::vector<std::string>& names = is_uri ? presented.uris : presented.dns;
  if (names.empty()) return Nobody();
  if (names.size() > 1) return errors::Unauthenticated("ambiguous");
  if (!CanBePrincipal(names[0], is_uri)) return errors::Unauthenticated("malformed");
  return std::make_shared<const Caller>(Bound(state->policy.get(), names[0], {}));
}

Access::Identified Access::ByHeader(const State& state, const Presented& presented) const {
  if (presented.authorizations != 1 || !presented.authorization.has_value())
    return errors::Unauthenticated("malformed");
  const absl::string_view token = BearerToken(*presented.authorization);
  if (token.empty() || token.size() > kTokenBytes) return errors::Unauthenticated("malformed");
  const Digest digest = Sha256(token);
  const std::optional<Verified::Entry> known = state.verified->Find(digest);
  if (!known.has_value()) return ByToken(state, token, digest);
  if (known->expires <= now_()) return errors::Unauthenticated("expired");
  return known->caller;
}

Access::Identified Access::ByToken(const State& state, absl::string_view token, const Digest& digest) const {
  if (!std::all_of(token.begin(), token.end(), IsTokenCharacter)) return errors::Unauthenticated("malformed");
  const absl::Time now = now_();
  const auto keep = [&](std::string principal, absl::Time expires, const std::map<std::string, int64_t>& ids) {
    auto caller = std::make_shared<const Caller>(Bound(state.policy.get(), std::move(principal), ids));
    state.verified->Keep(digest, {caller, expires});
    return caller;
  };
  if (state.tokens != nullptr) {
    const absl::StatusOr<const FileToken*> found = state.tokens->Check(token, digest, now);
    if (found.ok()) return keep((*found)->principal(), (*found)->expires, {});
    // Only what is not in the file can be a JSON Web Token.
    if (state.jwts == nullptr || !JsonWebTokens::IsOne(token)) return found.status();
  }
  if (state.jwts == nullptr) return errors::Unauthenticated("unknown");
  CROSSKEY_ASSIGN_OR_RETURN(JsonWebToken jwt, state.jwts->Check(token, now));
  return keep(std::move(jwt.principal), jwt.expires, jwt.ids);
}

absl::Status Access::Authorize(const Caller& caller, absl::string_view path) const {
  const std::shared_ptr<const State> state = Current();
  if (state->policy == nullptr) return absl::OkStatus();
  if (!state->policy->Allows(caller.principal, path)) {
    return caller.principal.empty() ? errors::Unauthenticated("no_credentials") : errors::PermissionDenied("policy");
  }
  const Verb verb = VerbOf(path);
  if (caller.may_write || verb == Verb::kRead || verb == Verb::kLibrary) return absl::OkStatus();
  return errors::PermissionDenied("owner");
}

}  // namespace crosskey::access
