#include "tests/support/secured.h"

#include <grpcpp/create_channel.h>
#include <openssl/sha.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/substitute.h"
#include "tests/support/free_port.h"

namespace crosskey::testing {
namespace {

constexpr char kUserServiceUri[] = "spiffe://crosskey/user-service";
constexpr char kPostServiceUri[] = "spiffe://crosskey/post-service";

std::string HexSha256(const std::string& text) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return absl::BytesToHexString(std::string(reinterpret_cast<const char*>(digest), sizeof(digest)));
}

std::shared_ptr<grpc::Channel> OpenChannelWith(int port, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetSslTargetNameOverride(Secured::kHost);
  return grpc::CreateCustomChannel(Loopback(port), credentials, arguments);
}

// $0: the id of the user that token:owner is bound to
constexpr char kPolicy[] = R"({
  "name": "tests",
  "allow_rules": [
    {"name": "readers", "source": {"principals": ["token:reader", "token:both", "token:owner"]},
     "request": {"roles": ["reader"]}},
    {"name": "writers", "source": {"principals": ["token:writer", "token:both", "token:owner"]},
     "request": {"roles": ["writer"]}},
    {"name": "deleters", "source": {"principals": ["token:deleter", "token:both", "token:owner"]},
     "request": {"roles": ["deleter"]}},
    {"name": "operators", "source": {"principals": ["token:operator"]}, "request": {"roles": ["operator"]}},
    {"name": "certificate", "source": {"principals": ["spiffe://crosskey/caller"]},
     "request": {"paths": ["/user.v1.UserService/*", "/post.v1.PostService/*"]}}
  ],
  "owners": [{"principals": ["token:owner"], "user_id": $0}]
})";

}  // namespace

Secured::Secured() {
  Issue(ca_);
  folder_.Write("callers.ca", callers_.certificate());
  TrustInternally(ca_.certificate());
  std::vector<std::string> entries;
  for (const char* name : {"reader", "writer", "deleter", "operator", "both", "owner", "stranger", "expired"}) {
    const std::string& token = tokens_[name] = absl::StrCat("0123456789abcdef0123456789abcdef-", name);
    entries.push_back(TokenEntry(name, token, name == std::string("expired") ? "2020-01-01T00:00:00Z" : ""));
  }
  folder_.Write("tokens.json", absl::StrCat(R"({"tokens": [)", absl::StrJoin(entries, ","), "]}"));
  WritePolicy(1);
}

void Secured::Issue(const Authority& authority) {
  const auto write = [this](const std::string& name, const KeyAndCertificate& pair) {
    folder_.Write(name + ".crt", pair.certificate);
    folder_.Write(name + ".key", pair.key);
  };
  write("front", front_ = authority.Issue({{}, {kHost}}));
  write("user", user_ = PairOf(Side::kUsers, authority));
  write("post", post_ = PairOf(Side::kPosts, authority));
}

KeyAndCertificate Secured::PairOf(Side side, const Authority& authority) {
  return authority.Issue({{side == Side::kUsers ? kUserServiceUri : kPostServiceUri}, {kHost}});
}

std::string Secured::TokenEntry(const std::string& name, const std::string& token, const std::string& expires) {
  const std::string end = expires.empty() ? "" : absl::StrCat(", \"expires\": \"", expires, "\"");
  return absl::Substitute(R"({"name": "$0", "sha256": "$1"$2})", name, HexSha256(token), end);
}

void Secured::WritePolicy(int64_t owner) const { folder_.Write("policy.json", absl::Substitute(kPolicy, owner)); }

void Secured::BindOwner(int64_t user) { WritePolicy(user); }

std::vector<std::string> Secured::Flags(Side side) const {
  const std::string own = side == Side::kUsers ? "user" : "post";
  return {"--tls-cert",
          folder_.Path("front.crt"),
          "--tls-key",
          folder_.Path("front.key"),
          "--tls-client-ca",
          folder_.Path("callers.ca"),
          "--internal-tls-cert",
          folder_.Path(own + ".crt"),
          "--internal-tls-key",
          folder_.Path(own + ".key"),
          "--internal-tls-ca",
          folder_.Path("internal.ca"),
          "--peer-identity",
          side == Side::kUsers ? kPostServiceUri : kUserServiceUri,
          "--policy",
          PolicyPath(),
          "--tokens",
          TokensPath()};
}

void Secured::Apply(Side side, process::Options& options) const {
  const std::string own = side == Side::kUsers ? "user" : "post";
  options.tls_cert = folder_.Path("front.crt");
  options.tls_key = folder_.Path("front.key");
  options.tls_client_ca = folder_.Path("callers.ca");
  options.internal_tls_cert = folder_.Path(own + ".crt");
  options.internal_tls_key = folder_.Path(own + ".key");
  options.internal_tls_ca = folder_.Path("internal.ca");
  options.peer_identities = {side == Side::kUsers ? kPostServiceUri : kUserServiceUri};
  options.policy = PolicyPath();
  options.tokens = TokensPath();
}

std::shared_ptr<grpc::Channel> Secured::Open(int port, const KeyAndCertificate& certificate) const {
  return OpenChannelWith(port, grpc::SslCredentials({ca_.certificate(), certificate.key, certificate.certificate}));
}

std::shared_ptr<grpc::Channel> Secured::OpenAs(int port, const std::string& name) const {
  return OpenWith(port, Token(name), ca_.certificate());
}

std::shared_ptr<grpc::Channel> Secured::OpenWith(int port, const std::string& token, const std::string& authorities) {
  return OpenChannelWith(port, grpc::CompositeChannelCredentials(grpc::SslCredentials({authorities, "", ""}),
                                                                 grpc::AccessTokenCredentials(token)));
}

std::shared_ptr<grpc::ChannelCredentials> Secured::AsPeerOf(Side side) const {
  const KeyAndCertificate& peer = PeerOf(side);
  return grpc::SslCredentials({ca_.certificate(), peer.key, peer.certificate});
}

}  // namespace crosskey::testing
