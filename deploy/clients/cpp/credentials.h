// For clients of Crosskey: whom a channel trusts, and what it shows of its caller. The environment says so.
#pragma once

#include <memory>

#include <grpcpp/security/credentials.h>

namespace crosskey::client {

// Four variables name files, which have PEM but for the token:
//
//   CROSSKEY_CA                  the authorities that vouch for the services; without it there is no TLS
//   CROSSKEY_CERT, CROSSKEY_KEY  a certificate to show, and its key
//   CROSSKEY_TOKEN_FILE          a token to send with each call; it is read for each, because tokens are replaced
//
// Throws std::runtime_error if a file cannot be read, if there is a certificate without a key or a key without a
// certificate, or if one is given without CROSSKEY_CA: in clear text gRPC shows nothing of a caller.
std::shared_ptr<grpc::ChannelCredentials> CredentialsFromEnvironment();

}  // namespace crosskey::client
