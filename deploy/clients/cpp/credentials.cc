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

// Without the white space around it, so that it does not matter how the file was written.
std::string ReadToken(const std::string& path) {
  constexpr char kWhiteSpace[] = " \t\r\n\v\f";
  const std::string text = Read(path);
  const size_t first = text.find_first_not_of(kWhiteSpace);
  if (first == std::string::npos) throw std::runtime_error("there is no token in " + path);
  return text.substr(first, text.find_last_not_of(kWhiteSpace) - first + 1);
}

// gRPC asks it before each call.
class TokenOfFile : public grpc::MetadataCredentialsPlugin {
 public:
  explicit TokenOfFile(std::string path) : path_(std::move(path)) {}

  grpc::Status GetMetadata(grpc::string_ref, grpc::string_ref, const grpc::AuthContext&,
                           std::multimap<grpc::string, grpc::string>* metadata) override {
    try {
      metadata->emplace("authorization", "Bearer " + ReadToken(path_));
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
  // gRPC would show no certificate, and say nothing.
  if (certificate.empty() != key.empty()) {
    throw std::runtime_error("CROSSKEY_CERT and CROSSKEY_KEY belong together, and only one is there");
  }
  if (ca.empty()) {
    if (certificate.empty() && token.empty()) return grpc::InsecureChannelCredentials();
    throw std::runtime_error("a certificate or a token needs CROSSKEY_CA too");
  }
  auto tls = grpc::SslCredentials({Read(ca), Read(key), Read(certificate)});
  if (token.empty()) return tls;
  ReadToken(token);  // rather fail now than with the first call
  return grpc::CompositeChannelCredentials(tls,
                                           grpc::MetadataCredentialsFromPlugin(std::make_unique<TokenOfFile>(token)));
}

}  // namespace crosskey::client
