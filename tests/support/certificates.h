// Makes keys and certificates for tests of TLS.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace crosskey::testing {

// What a certificate says. It may be used by servers and by clients, unless `for_clients` is false.
struct Leaf {
  std::vector<std::string> uris{};
  std::vector<std::string> dns{};
  absl::Time begin = absl::Now() - absl::Hours(1);
  absl::Time end = absl::Now() + absl::Hours(24);
  bool for_clients = true;
};

// In PEM.
struct KeyAndCertificate {
  std::string key;
  std::string certificate;
};

// A certificate authority. Those of one name are different ones all the same.
class Authority {
 public:
  explicit Authority(const std::string& name);
  ~Authority();
  Authority(const Authority&) = delete;
  Authority& operator=(const Authority&) = delete;

  const std::string& certificate() const { return certificate_; }
  KeyAndCertificate Issue(const Leaf& leaf) const;
  // The same certificate with a key that is encrypted.
  KeyAndCertificate IssueEncrypted(const Leaf& leaf) const;
  // With a key that is too short to be taken today.
  KeyAndCertificate IssueWeak(const Leaf& leaf) const;

 private:
  struct Parts;

  const std::unique_ptr<Parts> parts_;
  std::string certificate_;
};

// A folder of its own that is removed at the end.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  // Replaces the file as a whole. Returns its path.
  std::string Write(const std::string& name, const std::string& text) const;
  std::string Path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// What a TLS client sees that verifies nothing and presents nothing.
struct Handshake {
  bool done = false;
  int version = 0;          // TLS1_2_VERSION
  std::string certificate;  // of the server, in PEM; empty: it has sent none
  bool remembered = false;  // the server keeps the session, for a client that takes no ticket
};

// Makes a TLS handshake with a port of the loopback address. `most` is the highest version that the client takes; 0:
// any.
Handshake HandshakeWith(int port, int most = 0);

}  // namespace crosskey::testing
