#include "common/rpc/tls_check.h"

#include <memory>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "absl/strings/str_cat.h"
#include "common/status/macros.h"

namespace crosskey::rpc {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;
using Certificates = std::vector<Owned<X509>>;

absl::Status Bad(const std::string& path, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", why));
}

// Why the last function of OpenSSL has failed. Never has anything of its input. Forgets it.
std::string WhyOpenSsl() {
  const char* const reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return reason == nullptr ? "for no known reason" : reason;
}

Owned<BIO> Reader(const std::string& text) {
  return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Nobody is asked for a password. Notes that one was needed.
int NoPassword(char*, int, int, void* needed) {
  if (needed != nullptr) *static_cast<bool*>(needed) = true;
  return -1;
}

absl::StatusOr<Certificates> CertificatesIn(const std::string& path, const std::string& text) {
  Certificates certificates;
  const Owned<BIO> reader = Reader(text);
  ERR_clear_error();
  while (X509* const one = PEM_read_bio_X509(reader.get(), nullptr, NoPassword, nullptr))
    certificates.emplace_back(one);
  const auto error = ERR_peek_last_error();
  const bool at_end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  const std::string why = WhyOpenSsl();
  if (!at_end) return Bad(path, absl::StrCat("certificate ", certificates.size() + 1, " cannot be read: ", why));
  if (certificates.empty()) return Bad(path, "has no certificate");
  return certificates;
}

absl::StatusOr<Owned<EVP_PKEY>> KeyIn(const std::string& path, const std::string& text) {
  bool encrypted = false;
  const Owned<BIO> reader = Reader(text);
  Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(reader.get(), nullptr, NoPassword, &encrypted));
  ERR_clear_error();
  if (encrypted) return Bad(path, "the private key is encrypted");
  if (key == nullptr) return Bad(path, "has no private key that can be read");
  return key;
}

absl::StatusOr<absl::Time> TimeOf(const std::string& path, const ASN1_TIME* time) {
  tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return Bad(path, "the time of its end or its begin cannot be read");
  return absl::FromTM(parts, absl::UTCTimeZone());
}

absl::Status CheckLeaf(const std::string& path, X509* leaf, TlsUse use, absl::Time now) {
  CROSSKEY_ASSIGN_OR_RETURN(const absl::Time begin, TimeOf(path, X509_get0_notBefore(leaf)));
  CROSSKEY_ASSIGN_OR_RETURN(const absl::Time end, TimeOf(path, X509_get0_notAfter(leaf)));
  const auto text = [](absl::Time time) { return absl::FormatTime(absl::RFC3339_sec, time, absl::UTCTimeZone()); };
  if (now < begin) return Bad(path, "the certificate is not valid before " + text(begin));
  if (now > end) return Bad(path, "the certificate has expired at " + text(end));
  if (X509_check_purpose(leaf, X509_PURPOSE_SSL_SERVER, 0) != 1) {
    return Bad(path, "the certificate may not be used by a server (its extended key usage)");
  }
  if (use == TlsUse::kServerAndClient && X509_check_purpose(leaf, X509_PURPOSE_SSL_CLIENT, 0) != 1) {
    return Bad(path, "the certificate may not be used by a client (its extended key usage)");
  }
  return absl::OkStatus();
}

// Gives all to OpenSSL as gRPC will do later. What is too weak for the machine's settings is refused here.
absl::Status CheckTaken(const std::string& path, const Certificates& chain, EVP_PKEY* key) {
  const Owned<SSL_CTX> context(SSL_CTX_new(TLS_method()));
  bool taken = context != nullptr && SSL_CTX_use_certificate(context.get(), chain.front().get()) == 1;
  for (size_t i = 1; taken && i < chain.size(); ++i) {
    taken = SSL_CTX_add1_chain_cert(context.get(), chain[i].get()) == 1;
  }
  taken = taken && SSL_CTX_use_PrivateKey(context.get(), key) == 1;
  return taken ? absl::OkStatus() : Bad(path, "TLS does not take the certificate: " + WhyOpenSsl());
}

std::string TextOf(BIO* writer) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(writer, &text);  // NOLINT: OpenSSL's type
  return std::string(text, static_cast<size_t>(size));
}

std::string Written(const Certificates& certificates, EVP_PKEY* key) {
  const Owned<BIO> writer(BIO_new(BIO_s_mem()));
  if (key != nullptr) PEM_write_bio_PrivateKey(writer.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  for (const auto& certificate : certificates) PEM_write_bio_X509(writer.get(), certificate.get());
  return TextOf(writer.get());
}

}  // namespace

absl::StatusOr<TlsMaterial> CheckTls(const TlsPaths& paths, const TlsTexts& texts, TlsUse use, absl::Time now) {
  CROSSKEY_ASSIGN_OR_RETURN(const Certificates chain, CertificatesIn(paths.certificate, texts.certificate));
  CROSSKEY_ASSIGN_OR_RETURN(const Owned<EVP_PKEY> key, KeyIn(paths.key, texts.key));
  X509* const leaf = chain.front().get();
  const bool fits = X509_check_private_key(leaf, key.get()) == 1;
  ERR_clear_error();
  if (!fits) return Bad(paths.key, "is not the key of the first certificate of " + paths.certificate);
  CROSSKEY_RETURN_IF_ERROR(CheckLeaf(paths.certificate, leaf, use, now));
  CROSSKEY_RETURN_IF_ERROR(CheckTaken(paths.certificate, chain, key.get()));
  TlsMaterial material;
  material.pair = Written(chain, key.get());
  CROSSKEY_ASSIGN_OR_RETURN(material.end, TimeOf(paths.certificate, X509_get0_notAfter(leaf)));
  if (paths.ca.empty()) return material;
  CROSSKEY_ASSIGN_OR_RETURN(const Certificates trusted, CertificatesIn(paths.ca, texts.ca));
  material.ca = Written(trusted, nullptr);
  return material;
}

CertificateNames NamesIn(const std::string& pem) {
  CertificateNames found;
  const Owned<BIO> reader = Reader(pem);
  const Owned<X509> certificate(PEM_read_bio_X509(reader.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  if (certificate == nullptr) return found;
  const Owned<GENERAL_NAMES> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI && name->type != GEN_DNS) continue;
    const ASN1_IA5STRING* const text = name->d.ia5;
    (name->type == GEN_URI ? found.uris : found.dns)
        .emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                      static_cast<size_t>(ASN1_STRING_length(text)));
  }
  return found;
}

}  // namespace crosskey::rpc
