#include "deploy/clients/cpp/credentials.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

namespace crosskey::client {
namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Nothing, if no file is named.
std::string Read(const std::string& path) {
  if (path.empty()) return "";
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (text.empty()) throw std::runtime_error("cannot read " + path);
  return text;
}

// gRPC asks it before each call.
class TokenOfFile : public grpc::MetadataCredentialsPlugin {
 public:
  explicit TokenOfFile(std::string path) : path_(std::move(path)) {}

  grpc::Status GetMetadata(grpc::string_ref, grpc::string_ref, const grpc::AuthContext&,
                           std::multimap<grpc::string, grpc::string>* metadata) override {
    try {
      std::string token = Read(path_);
      token.erase(token.find_last_not_of("\r\n") + 1);
      metadata->emplace("authorization", "Bearer " + token);
      return grpc::Status::OK;
    } catch (const std::runtime_error& error) {
      return {grpc::StatusCode::UNAUTHENTICATED, error.what()};
    }
  }

 private:
  const std::string path_;
};

}  // namespace

std::shared_ptr<grpc::ChannelCredentials> CredentialsFromEnvironment() {
  const std::string ca = Variable("CROSSKEY_CA");
  const std::string certificate = Variable("CROSSKEY_CERT"), key = Variable("CROSSKEY_KEY");
  const std::string token = Variable("CROSSKEY_TOKEN_FILE");
  if (ca.empty()) {
    if (certificate.empty() && key.empty() && token.empty()) return grpc::InsecureChannelCredentials();
    throw std::runtime_error("a certificate or a token needs CROSSKEY_CA too");
  }
  auto tls = grpc::SslCredentials({Read(ca), Read(key), Read(certificate)});
  if (token.empty()) return tls;
  Read(token);  // rather fail now than with the first call
  return grpc::CompositeChannelCredentials(tls,
                                           grpc::MetadataCredentialsFromPlugin(std::make_unique<TokenOfFile>(token)));
}

}  // namespace crosskey::client
