// For tests of access: certificates, tokens and a policy for both services, and callers of every kind.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/security/credentials.h>

#include "common/process/options.h"
#include "tests/support/certificates.h"
#include "tests/support/cluster.h"

namespace crosskey::testing {

// The services present certificates of `ca`, and take callers with those of it and with tokens. The policy:
//
//   token:reader, token:writer, token:deleter, token:operator    their role
//   token:both                                                   reader, writer and deleter
//   token:owner, bound to a user                                 the same, in the name of that user
//   spiffe://crosskey/caller                                     all methods of both services
//   token:stranger                                               nothing
class Secured {
 public:
  Secured();

  // The flags of a process, and the options of a service in this process.
  std::vector<std::string> Flags(Side side) const;
  void Apply(Side side, process::Options& options) const;

  // New keys and certificates for all listeners, of this authority. They take effect when the services look again.
  void Issue(const Authority& authority);
  // What the internal listener of `side` presents, and the other service takes, if it trusts the authority.
  static KeyAndCertificate PairOf(Side side, const Authority& authority);
  // The authorities that the services take each other's certificates from. The same.
  void TrustInternally(const std::string& certificates) const { folder_.Write("internal.ca", certificates); }
  // What the public listeners present, and the internal one of `side`.
  const std::string& front() const { return front_.certificate; }
  const std::string& internal(Side side) const { return (side == Side::kUsers ? user_ : post_).certificate; }

  // `token:owner` may write in the name of this user only. Takes effect when the services look again.
  void BindOwner(int64_t user);
  // The token whose name is "reader" and so on.
  const std::string& Token(const std::string& name) const { return tokens_.at(name); }
  // An entry of the file of tokens.
  static std::string TokenEntry(const std::string& name, const std::string& token, const std::string& expires = "");
  std::string PolicyPath() const { return folder_.Path("policy.json"); }
  std::string TokensPath() const { return folder_.Path("tokens.json"); }
  const Folder& folder() const { return folder_; }
  const Authority& ca() const { return ca_; }
  const Authority& callers() const { return callers_; }

  // A channel to a port of the loopback address that verifies the server, and presents what it is given.
  std::shared_ptr<grpc::Channel> Open(int port, const KeyAndCertificate& certificate = {}) const;
  // The same with the token of that name on each call.
  std::shared_ptr<grpc::Channel> OpenAs(int port, const std::string& name) const;
  // The same with any token. Trusts servers of `authorities`.
  static std::shared_ptr<grpc::Channel> OpenWith(int port, const std::string& token, const std::string& authorities);
  // What makes a channel that the internal listener of `side` takes for the other service.
  std::shared_ptr<grpc::ChannelCredentials> AsPeerOf(Side side) const;
  // What the other service than `side` presents to it.
  const KeyAndCertificate& PeerOf(Side side) const { return side == Side::kUsers ? post_ : user_; }

  // A name in all certificates of the services' public listeners, and in those of the internal ones.
  static constexpr char kHost[] = "crosskey.test";

 private:
  void WritePolicy(int64_t owner) const;

  Folder folder_;
  Authority ca_{"services"};
  Authority callers_{"callers"};
  KeyAndCertificate front_;
  KeyAndCertificate user_;
  KeyAndCertificate post_;
  std::map<std::string, std::string> tokens_;
};

}  // namespace crosskey::testing
