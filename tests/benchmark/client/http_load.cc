// HTTP/1.1 over plain sockets. A client of a library would cost more processor time than these servers get.
#include <atomic>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <thread>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/benchmark/client/calls.h"
#include "tests/benchmark/client/load.h"

namespace crosskey::benchmark {
namespace {

constexpr int kPatienceMs = 30'000;

// An answer, as far as it has arrived.
class Answer {
 public:
  // Returns whether it is whole. Throws std::runtime_error if it cannot be read.
  bool Append(const char* data, size_t size) {
    text_.append(data, size);
    if (head_ == 0) {
      const size_t end = text_.find("\r\n\r\n");
      if (end == std::string::npos) return false;
      head_ = end + 4;
      ReadHead();
    }
    return text_.size() >= head_ + length_;
  }
  bool ok() const { return status_ >= 200 && status_ < 300; }
  bool closes() const { return closes_; }
  std::string StartLine() const { return text_.substr(0, text_.find("\r\n")); }

 private:
  void ReadHead() {
    const std::string head = absl::AsciiStrToLower(text_.substr(0, head_));
    const size_t length = head.find("\r\ncontent-length:");
    if (!absl::SimpleAtoi(text_.substr(9, 3), &status_) || length == std::string::npos) {
      throw std::runtime_error("an answer without a length: " + StartLine());
    }
    length_ = std::stoul(head.substr(length + std::strlen("\r\ncontent-length:")));
    closes_ = absl::StrContains(head, "\r\nconnection: close");
  }

  std::string text_;
  size_t head_ = 0;
  size_t length_ = 0;
  int status_ = 0;
  bool closes_ = false;
};

class HttpLoad : public Load {
 public:
  HttpLoad(const Servers& servers, const std::vector<Group>& groups, const Population& population, int64_t seed)
      : address_(servers.http), population_(population), seed_(seed) {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    for (const Group& group : groups) {
      if (group.method != "GetPost" && group.method != "CreatePost") {
        throw std::invalid_argument("not by HTTP: " + group.method);
      }
      for (int i = 0; i < group.clients; ++i) {
        clients_.push_back(std::make_unique<Client>(Client{group.method == "GetPost", &samples_[group.name]}));
      }
    }
  }

  ~HttpLoad() override {
    HttpLoad::Stop();
    for (const auto& client : clients_) Disconnect(*client);
    close(epoll_);
  }

  void Start() override {
    for (const auto& client : clients_) Connect(*client);
    thread_ = std::thread([this] { Run(); });
  }

  void Stop() override {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }

  const std::map<std::string, Samples>& samples() const override { return samples_; }

 private:
  struct Client {
    bool gets;
    Samples* samples;
    int socket = -1;
    bool busy = false;  // a call is in flight
    Clock::time_point begin = {};
    Answer answer = {};
  };

  void Connect(Client& client) {
    const size_t colon = address_.rfind(':');
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(std::stoi(address_.substr(colon + 1))));
    inet_pton(AF_INET, address_.substr(0, colon).c_str(), &to.sin_addr);
    client.socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(client.socket, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) {
      throw std::runtime_error(absl::StrCat("cannot connect to ", address_, ": ", std::strerror(errno)));
    }
    const int on = 1;
    setsockopt(client.socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &client;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, client.socket, &event);
  }

  static void Disconnect(Client& client) {
    if (client.socket >= 0) close(client.socket);
    client.socket = -1;
  }

  std::string NextRequest(const Client& client) {
    const int64_t n = calls_++;
    if (client.gets) {
      return absl::StrCat("GET /posts/", Choose(population_.read_posts, seed_, n), " HTTP/1.1\r\nHost: ", address_,
                          "\r\n\r\n");
    }
    const std::string body = absl::StrCat(R"({"title":")", PostTitle(), R"(","content":")", PostContent(),
                                          R"(","user_id":)", Choose(population_.written_users, seed_, n), "}");
    return absl::StrCat("POST /posts HTTP/1.1\r\nHost: ", address_,
                        "\r\nContent-Type: application/json\r\nContent-Length: ", body.size(), "\r\n\r\n", body);
  }

  // A server that closes after each answer makes its client connect again: that belongs to its time.
  void StartCall(Client& client) {
    client.begin = Clock::now();
    client.answer = Answer();
    if (client.socket < 0) Connect(client);
    const std::string request = NextRequest(client);
    if (send(client.socket, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
      throw std::runtime_error(absl::StrCat("cannot send: ", std::strerror(errno)));
    }
    client.busy = true;
    ++in_flight_;
  }

  void Run() {
    for (const auto& client : clients_) Try(*client, [&] { StartCall(*client); });
    while (in_flight_ > 0) {
      epoll_event events[64];
      const int count = epoll_wait(epoll_, events, 64, kPatienceMs);
      if (count == 0) return clients_.front()->samples->Fail("no answer for 30 s");
      for (int i = 0; i < count; ++i) {
        Client& client = *static_cast<Client*>(events[i].data.ptr);
        Try(client, [&] { Receive(client); });
      }
    }
  }

  template <typename Function>
  void Try(Client& client, Function function) {
    try {
      function();
    } catch (const std::runtime_error& error) {
      client.samples->Fail(error.what());
      if (client.busy) --in_flight_;
      client.busy = false;
      Disconnect(client);
    }
  }

  void Receive(Client& client) {
    char buffer[16384];
    const ssize_t size = recv(client.socket, buffer, sizeof(buffer), 0);
    // The server may close a connection that is not needed any more.
    if (!client.busy) return Disconnect(client);
    if (size > 0 && !client.answer.Append(buffer, static_cast<size_t>(size))) return;
    client.busy = false;
    --in_flight_;
    if (size <= 0) throw std::runtime_error("the server has closed the connection before its answer");
    if (!client.answer.ok()) throw std::runtime_error(client.answer.StartLine());
    client.samples->Add(client.begin, Clock::now());
    if (client.answer.closes()) Disconnect(client);
    if (!stopping_.load(std::memory_order_relaxed)) StartCall(client);
  }

  std::string address_;
  const Population& population_;
  int64_t seed_;
  int64_t calls_ = 0;
  std::map<std::string, Samples> samples_;
  int epoll_;
  std::vector<std::unique_ptr<Client>> clients_;
  int in_flight_ = 0;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Load> NewHttpLoad(const Servers& servers, const std::vector<Group>& groups,
                                  const Population& population, int64_t seed) {
  return std::make_unique<HttpLoad>(servers, groups, population, seed);
}

}  // namespace crosskey::benchmark
