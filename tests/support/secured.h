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
  // What the other service than `side` presents to it.
  const KeyAndCertificate& PeerOf(Side side) const { return side == Side::kUsers ? post_ : user_; }

  // The name in the public certificates.
  static constexpr char kHost[] = "crosskey.test";

 private:
  void WritePolicy(int64_t owner) const;

  Folder folder_;
  Authority ca_{"services"};
  Authority callers_{"callers"};
  const KeyAndCertificate user_;
  const KeyAndCertificate post_;
  std::map<std::string, std::string> tokens_;
};

}  // namespace crosskey::testing
