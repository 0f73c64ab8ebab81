#include "tests/support/http_get.h"

#include <functional>
#include <memory>

#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace crosskey::testing {
namespace {

constexpr timeval kPatience = {60, 0};

// A connection to a port of the loopback address; -1: there is none.
int Connect(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof(kPatience));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) return fd;
  close(fd);
  return -1;
}

std::string Request(const std::string& path) { return "GET " + path + " HTTP/1.0\r\n\r\n"; }

// `read` is as the system's.
std::string All(const std::function<ssize_t(char*, size_t)>& read) {
  std::string answer;
  char buffer[4096];
  for (ssize_t n; (n = read(buffer, sizeof(buffer))) > 0;) answer.append(buffer, static_cast<size_t>(n));
  return answer;
}

}  // namespace

std::string HttpGet(int port, const std::string& path) { return HttpAnswer(port, Request(path)); }

std::string HttpAnswer(int port, const std::string& request) {
  const int fd = Connect(port);
  std::string answer;
  if (send(fd, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size())) {
    answer = All([fd](char* buffer, size_t size) { return read(fd, buffer, size); });
  }
  close(fd);
  return answer;
}

std::string HttpsGet(int port, const std::string& path) {
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  const std::unique_ptr<SSL, void (*)(SSL*)> connection(SSL_new(context.get()), SSL_free);
  const int fd = Connect(port);
  SSL_set_fd(connection.get(), fd);
  const std::string request = Request(path);
  std::string answer;
  if (fd >= 0 && SSL_connect(connection.get()) == 1 &&
      SSL_write(connection.get(), request.data(), static_cast<int>(request.size())) > 0) {
    answer = All([&](char* buffer, size_t size) { return SSL_read(connection.get(), buffer, static_cast<int>(size)); });
  }
  ERR_clear_error();
  close(fd);
  return answer;
}

}  // namespace crosskey::testing
