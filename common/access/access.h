// Who calls a listener, and what they may do there: what the policy, the tokens and the keys of JSON Web Tokens say.
// README.md says how they are written.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/access/verified.h"
#include "common/files/watched_files.h"
#include "common/telemetry/metrics.h"

namespace crosskey::access {

class JsonWebTokens;
class Policy;
class TokenFile;

inline constexpr size_t kCertificateNameBytes = 500;

// Paths and texts; an empty one is not given. The three of JSON Web Tokens are given together or not at all.
struct Options {
  std::string policy;
  std::string tokens;
  std::string jwt_keys;
  std::string jwt_issuer;
  std::string jwt_audience;
};

// What a call brings to prove who makes it.
struct Presented {
  // The names of the certificate (subjectAltName), if the connection has one that is verified.
  bool has_certificate = false;
  std::vector<std::string> uris;
  std::vector<std::string> dns;
  // How many `authorization` headers there are, and what is in the first.
  int authorizations = 0;
  std::optional<absl::string_view> authorization;
};

// Thread-safe, except that one thread at a time may call Look.
class Access {
 public:
  using Clock = std::function<absl::Time()>;

  // INVALID_ARGUMENT with the file, the place in it and the reason.
  static absl::StatusOr<std::unique_ptr<Access>> Load(const Options& options, telemetry::Metrics& metrics,
                                                      Clock now = absl::Now);

  // Takes the files that have changed (see files::WatchedFiles). To be called every second.
  void Look() { files_.Look(); }

  // Who makes a call; see README.md for the order. UNAUTHENTICATED with a reason if what it brings is no good: then it
  // is not taken for nobody. Without any file an authorization header is not looked at, as nothing could prove it.
  absl::StatusOr<std::shared_ptr<const Caller>> Authenticate(const Presented& presented) const;

  // Whether it may call the method, "/user.v1.UserService/GetUser". UNAUTHENTICATED no_credentials for nobody.
  // PERMISSION_DENIED "policy", or "owner" for a write of somebody who may not write. Whose name a write may be in is
  // for the handler (Caller::user).
  absl::Status Authorize(const Caller& caller, absl::string_view path) const;

 private:
  // All of one moment. A new one has an empty cache, so nothing outlives the rules and keys that it was judged by.
  struct State {
    std::shared_ptr<const Policy> policy;
    std::shared_ptr<const TokenFile> tokens;
    std::shared_ptr<const JsonWebTokens> jwts;
    std::shared_ptr<Verified> verified;

    bool IsEmpty() const { return policy == nullptr && tokens == nullptr && jwts == nullptr; }
  };
  using Identified = absl::StatusOr<std::shared_ptr<const Caller>>;

  Access(telemetry::Metrics& metrics, Clock now);

  std::shared_ptr<const State> Current() const;
  // Makes a part of the state from a file, now and whenever the file changes; nothing if there is no path.
  template <typename Part, typename Parse>
  absl::Status Watch(const std::string& name, const std::string& path, size_t max_bytes,
                     std::shared_ptr<const Part> State::*place, Parse parse);
  // Puts a part of the state into its place.
  template <typename Part>
  void Put(std::shared_ptr<const Part> State::*place, Part part);
  Identified ByHeader(const State& state, const Presented& presented) const;
  Identified ByToken(const State& state, absl::string_view token, const Digest& digest) const;

  const Clock now_;
  files::WatchedFiles files_;
  mutable std::mutex mutex_;  // of state_
  std::shared_ptr<const State> state_;
};

// For the command check-policy: checks all files that are given, which change nothing. `summary` gets what they have:
// names of rules, names and ends of tokens, ids of keys. INVALID_ARGUMENT with one line for each file that is wrong.
absl::Status CheckFiles(const Options& options, absl::Time now, std::string* summary);

// INVALID_ARGUMENT: the options of JSON Web Tokens are not all there, or issuer or audience cannot be so.
absl::Status CheckOptions(const Options& options);

}  // namespace crosskey::access
