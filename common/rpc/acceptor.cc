#include "common/rpc/acceptor.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <set>
#include <utility>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/telemetry/log.h"

namespace crosskey::rpc {
namespace {

constexpr int kBacklog = 1024;
// After an error of accept, which is about the process or the machine and may pass.
constexpr absl::Duration kRest = absl::Milliseconds(100);

void CloseAll(const std::vector<int>& sockets) {
  for (const int socket : sockets) close(socket);
}

int PortOf(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                                             : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
}

void SetPort(sockaddr* address, int port) {
  const auto network = htons(static_cast<uint16_t>(port));
  if (address->sa_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(address)->sin6_port = network;
  } else {
    reinterpret_cast<sockaddr_in*>(address)->sin_port = network;
  }
}

// A socket that listens on one address of the host; -1: the address cannot be bound, and errno says why.
int ListenOn(const addrinfo& info) {
  const int fd = socket(info.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int on = 1, off = 0;
  // A port of connections that have ended may be used again. Two processes cannot have one port: each would get some of
  // the calls.
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));  // its connections inherit this
  if (info.ai_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  if (bind(fd, info.ai_addr, info.ai_addrlen) == 0 && listen(fd, kBacklog) == 0) return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

// A name can have an address that this machine does not have, ::1 where IPv6 is off.
bool IsOfNoUseHere(int error) { return error == EADDRNOTAVAIL || error == EAFNOSUPPORT; }

// The first message of a TLS handshake. A server that is alive answers it. Nothing else of the handshake matters here.
std::string TlsGreeting() {
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  if (context == nullptr) return "";
  const std::unique_ptr<SSL, void (*)(SSL*)> connection(SSL_new(context.get()), SSL_free);
  if (connection == nullptr) return "";
  BIO* const written = BIO_new(BIO_s_mem());
  SSL_set_bio(connection.get(), BIO_new(BIO_s_mem()), written);  // owns both
  SSL_connect(connection.get());                                 // stops where it needs the answer
  ERR_clear_error();
  char* text = nullptr;
  const auto size = BIO_get_mem_data(written, &text);
  return std::string(text, static_cast<size_t>(size));
}

// What has become of a connection; 0: nothing is wrong. Asking takes the error away.
int ErrorOf(int fd) {
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

// Whether a connection to a listening socket is served. True also if no connection can be made for a reason that says
// nothing of the socket: no descriptor or port is left, or the machine has no loopback address of this kind.
bool AnswersAt(int listening, absl::Duration timeout, const std::string& greeting) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (getsockname(listening, reinterpret_cast<sockaddr*>(&address), &size) != 0) return false;
  // A socket on all addresses, which are all zero, is reached on the loopback address.
  if (address.ss_family == AF_INET6) {
    auto& any = reinterpret_cast<sockaddr_in6&>(address).sin6_addr;
    if (IN6_IS_ADDR_UNSPECIFIED(&any)) any = in6addr_loopback;
  } else {
    auto& any = reinterpret_cast<sockaddr_in&>(address).sin_addr;
    if (any.s_addr == htonl(INADDR_ANY)) any.s_addr = htonl(INADDR_LOOPBACK);
  }
  const int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return true;
  int error = connect(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 ? 0 : errno;
  bool silent = false;
  const auto await = [&](int16_t event) {
    pollfd polled = {fd, event, 0};
    silent = poll(&polled, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout))) != 1;
    error = ErrorOf(fd);
    return !silent && error == 0;
  };
  if (error == 0 || error == EINPROGRESS) {
    // A new connection has room for the greeting.
    if (greeting.empty() || (await(POLLOUT) && send(fd, greeting.data(), greeting.size(), MSG_NOSIGNAL) > 0)) {
      await(POLLIN);
    }
  }
  close(fd);
  return !silent && error != ECONNREFUSED;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Acceptor>> Acceptor::Listen(const std::string& address, int most,
                                                           prometheus::Counter& refused) {
  const absl::Status failed = absl::UnavailableError("cannot listen on " + address);
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return failed;
  std::string host = address.substr(0, colon);
  if (absl::StartsWith(host, "[") && absl::EndsWith(host, "]")) host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), address.c_str() + colon + 1, &hints, &found) != 0) return failed;
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, freeaddrinfo);
  std::vector<int> sockets;
  std::set<std::string> seen;
  int port = 0;
  for (addrinfo* info = found; info != nullptr; info = info->ai_next) {
    // A name that is twice in /etc/hosts has its address twice.
    if (!seen.emplace(reinterpret_cast<const char*>(info->ai_addr), info->ai_addrlen).second) continue;
    if (port != 0) SetPort(info->ai_addr, port);
    const int fd = ListenOn(*info);
    if (fd < 0 && IsOfNoUseHere(errno)) continue;
    if (fd < 0) {
      CloseAll(sockets);
      return failed;
    }
    sockets.push_back(fd);
    port = PortOf(fd);
  }
  if (sockets.empty()) return failed;
  return std::unique_ptr<Acceptor>(new Acceptor(std::move(sockets), port, most, refused));
}

Acceptor::Acceptor(std::vector<int> sockets, int port, int most, prometheus::Counter& refused)
    : sockets_(std::move(sockets)), port_(port), most_(most), stop_(eventfd(0, EFD_CLOEXEC)), refused_(refused) {}

Acceptor::~Acceptor() {
  Stop();
  CloseAll(sockets_);
  if (stop_ >= 0) close(stop_);
}

void Acceptor::Start(std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> server) {
  server_ = std::move(server);
  thread_ = std::thread([this] { Run(); });
}

void Acceptor::Stop() {
  if (!thread_.joinable()) return;
  eventfd_write(stop_, 1);
  thread_.join();
  // Whoever has connected and was not accepted hears at once that nobody will.
  for (const int socket : sockets_) shutdown(socket, SHUT_RDWR);
}

bool Acceptor::Answers(absl::Duration timeout, bool tls) const {
  const std::string greeting = tls ? TlsGreeting() : "";
  return std::all_of(sockets_.begin(), sockets_.end(),
                     [&](int socket) { return AnswersAt(socket, timeout, greeting); });
}

void Acceptor::Run() {
  std::vector<pollfd> polled = {{stop_, POLLIN, 0}};
  for (const int socket : sockets_) polled.push_back({socket, POLLIN, 0});
  while (true) {
    if (poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) absl::SleepFor(kRest);
    if (polled[0].revents != 0) return;
    for (size_t i = 1; i < polled.size(); ++i) {
      if ((polled[i].revents & POLLIN) != 0) AcceptAll(polled[i].fd);
      // Somebody has shut the socket down. It stays so, and poll would return at once for ever.
      if ((polled[i].revents & (POLLHUP | POLLERR)) != 0) polled[i].fd = -1;
    }
  }
}

void Acceptor::AcceptAll(int socket) {
  while (true) {
    const int fd = accept4(socket, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == ECONNABORTED || errno == EINTR) continue;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) absl::SleepFor(kRest);
      return;
    }
    if (fd >= most_) {
      refused_.Increment();
      close(fd);
      continue;
    }
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
    connection.fd = fd;
    server_->HandleNewConnection(&connection);
  }
}

int RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  limit.rlim_cur = limit.rlim_max;
  static_cast<void>(setrlimit(RLIMIT_NOFILE, &limit));
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX) return INT_MAX;
  return static_cast<int>(limit.rlim_cur);
}

}  // namespace crosskey::rpc
