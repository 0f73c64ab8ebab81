#include "tests/support/certificates.h"

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace crosskey::testing {
namespace {

template <typename T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

template <typename T>
Owned<T> Own(T* pointer, void (*free)(T*)) {
  if (pointer == nullptr) throw std::runtime_error("OpenSSL: no object");
  return Owned<T>(pointer, free);
}

void FreeBio(BIO* bio) { BIO_free(bio); }

void Check(long result) {  // NOLINT: OpenSSL's type
  if (result <= 0) throw std::runtime_error(absl::StrCat("OpenSSL: ", ERR_reason_error_string(ERR_get_error())));
}

Owned<EVP_PKEY> NewKey() { return Own(EVP_EC_gen("P-256"), EVP_PKEY_free); }

std::string TextOf(BIO* bio) {
  char* text = nullptr;
  const auto size = BIO_get_mem_data(bio, &text);
  return std::string(text, static_cast<size_t>(size));
}

std::string PemOf(X509* certificate) {
  const auto bio = Own(BIO_new(BIO_s_mem()), FreeBio);
  Check(PEM_write_bio_X509(bio.get(), certificate));
  return TextOf(bio.get());
}

std::string PemOf(EVP_PKEY* key, bool encrypted = false) {
  const auto bio = Own(BIO_new(BIO_s_mem()), FreeBio);
  const unsigned char password[] = "secret";
  Check(PEM_write_bio_PrivateKey(bio.get(), key, encrypted ? EVP_aes_128_cbc() : nullptr,
                                 encrypted ? password : nullptr, encrypted ? 6 : 0, nullptr, nullptr));
  return TextOf(bio.get());
}

// A certificate without names and extensions, that is not signed.
Owned<X509> Blank(const std::string& name, const X509* issuer, EVP_PKEY* key, absl::Time begin, absl::Time end) {
  static std::atomic<int64_t> serial = 1;
  auto certificate = Own(X509_new(), X509_free);
  Check(X509_set_version(certificate.get(), X509_VERSION_3));
  Check(ASN1_INTEGER_set_int64(X509_get_serialNumber(certificate.get()), ++serial));
  Check(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                                   reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0));
  Check(X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer == nullptr ? certificate.get() : issuer)));
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()), absl::ToTimeT(begin));
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()), absl::ToTimeT(end));
  Check(X509_set_pubkey(certificate.get(), key));
  return certificate;
}

void AddExtension(X509* certificate, X509* issuer, int kind, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const auto extension = Own(X509V3_EXT_conf_nid(nullptr, &context, kind, value), X509_EXTENSION_free);
  Check(X509_add_ext(certificate, extension.get(), -1));
}

// Not from a text, so that a name may have any bytes.
void AddNames(X509* certificate, const Leaf& leaf) {
  const auto names = Own(GENERAL_NAMES_new(), GENERAL_NAMES_free);
  const auto add = [&](int type, const std::string& text) {
    ASN1_IA5STRING* const value = ASN1_IA5STRING_new();
    Check(ASN1_STRING_set(value, text.data(), static_cast<int>(text.size())));
    GENERAL_NAME* const name = GENERAL_NAME_new();
    GENERAL_NAME_set0_value(name, type, value);
    sk_GENERAL_NAME_push(names.get(), name);
  };
  for (const std::string& uri : leaf.uris) add(GEN_URI, uri);
  for (const std::string& dns : leaf.dns) add(GEN_DNS, dns);
  if (sk_GENERAL_NAME_num(names.get()) == 0) return;
  Check(X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT));
}

}  // namespace

struct Authority::Parts {
  explicit Parts(const std::string& name)
      : key(NewKey()),
        certificate(Blank(name, nullptr, key.get(), absl::Now() - absl::Hours(48), absl::Now() + absl::Hours(480))) {}

  std::string Sign(const Leaf& leaf, EVP_PKEY* leaf_key) const {
    const auto signed_one = Blank("leaf", certificate.get(), leaf_key, leaf.begin, leaf.end);
    X509* const issuer = certificate.get();
    AddExtension(signed_one.get(), issuer, NID_authority_key_identifier, "keyid");
    AddExtension(signed_one.get(), issuer, NID_ext_key_usage,
                 leaf.for_clients ? "serverAuth,clientAuth" : "serverAuth");
    AddNames(signed_one.get(), leaf);
    Check(X509_sign(signed_one.get(), key.get(), EVP_sha256()));
    return PemOf(signed_one.get());
  }

  Owned<EVP_PKEY> key;
  Owned<X509> certificate;
};

Authority::Authority(const std::string& name) : parts_(std::make_unique<Parts>(name)) {
  X509* const own = parts_->certificate.get();
  AddExtension(own, own, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(own, own, NID_key_usage, "critical,keyCertSign,cRLSign");
  AddExtension(own, own, NID_subject_key_identifier, "hash");
  Check(X509_sign(parts_->certificate.get(), parts_->key.get(), EVP_sha256()));
  certificate_ = PemOf(parts_->certificate.get());
}

Authority::~Authority() = default;

KeyAndCertificate Authority::Issue(const Leaf& leaf) const {
  const auto key = NewKey();
  return {PemOf(key.get()), parts_->Sign(leaf, key.get())};
}

KeyAndCertificate Authority::IssueEncrypted(const Leaf& leaf) const {
  const auto key = NewKey();
  return {PemOf(key.get(), true), parts_->Sign(leaf, key.get())};
}

KeyAndCertificate Authority::IssueWeak(const Leaf& leaf) const {
  const auto key = Own(EVP_RSA_gen(1024), EVP_PKEY_free);
  return {PemOf(key.get()), parts_->Sign(leaf, key.get())};
}

Folder::Folder() : path_(std::filesystem::temp_directory_path() / "crosskey_tls_XXXXXX") {
  if (mkdtemp(path_.data()) == nullptr) throw std::runtime_error("no temporary folder");
}

Folder::~Folder() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

std::string Folder::Write(const std::string& name, const std::string& text) const {
  std::ofstream(Path(name + ".new"), std::ios::binary) << text;
  std::filesystem::rename(Path(name + ".new"), Path(name));
  return Path(name);
}

Handshake HandshakeWith(int port, int most) {
  Handshake seen;
  const auto context = Own(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  // Versions that are no longer safe are taken by a client of level 0 only.
  if (most != 0) {
    SSL_CTX_set_security_level(context.get(), 0);
    Check(SSL_CTX_set_min_proto_version(context.get(), TLS1_VERSION));
    Check(SSL_CTX_set_max_proto_version(context.get(), most));
  }
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience = {60, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  const auto connection = Own(SSL_new(context.get()), SSL_free);
  SSL_set_options(connection.get(), SSL_OP_NO_TICKET);
  const unsigned char protocols[] = "\x02h2";
  SSL_set_alpn_protos(connection.get(), protocols, sizeof(protocols) - 1);
  SSL_set_fd(connection.get(), fd);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
    seen.done = SSL_connect(connection.get()) == 1;
    seen.version = SSL_version(connection.get());
    X509* const certificate = SSL_get0_peer_certificate(connection.get());
    if (certificate != nullptr) seen.certificate = PemOf(certificate);
    unsigned int session_bytes = 0;
    SSL_SESSION_get_id(SSL_get_session(connection.get()), &session_bytes);
    seen.remembered = session_bytes > 0;
  }
  ERR_clear_error();
  close(fd);
  return seen;
}

}  // namespace crosskey::testing
