#include <atomic>
#include <stdexcept>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/benchmark/client/calls.h"
#include "tests/benchmark/client/load.h"

namespace crosskey::benchmark {
namespace {

constexpr std::chrono::seconds kConnectTimeout(20);

// All clients share one thread and one completion queue: threads of their own would take more processor time, which the
// servers need.
class GrpcLoad : public Load {
 public:
  GrpcLoad(const Servers& servers, const std::vector<Group>& groups, const Population& population, int64_t seed) {
    for (const Group& group : groups) {
      kinds_.push_back(std::make_unique<Kind>(Kind{FindMethod(group.method, population, seed), &samples_[group.name]}));
      const bool to_users = kinds_.back()->method.to_users;
      for (int i = 0; i < group.clients; ++i) {
        clients_.push_back(std::make_unique<Client>(
            Client{kinds_.back().get(), Connection(to_users ? servers.users : servers.posts, to_users)}));
      }
    }
  }

  ~GrpcLoad() override {
    GrpcLoad::Stop();
    queue_.Shutdown();
    void* tag;
    bool ok;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  // When a process makes many channels at once, one may fail to connect at first. So nothing begins before all have.
  void Start() override {
    for (const auto& client : clients_) client->connection.channel->GetState(true);
    for (const auto& client : clients_) {
      if (!client->connection.channel->WaitForConnected(std::chrono::system_clock::now() + kConnectTimeout)) {
        throw std::runtime_error("a client gets no connection");
      }
    }
    thread_ = std::thread([this] { Run(); });
  }

  void Stop() override {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }

  const std::map<std::string, Samples>& samples() const override { return samples_; }

 private:
  struct Kind {
    Method method;
    Samples* samples;
    int64_t calls = 0;
  };
  struct Client {
    Kind* kind;
    Connection connection;
    Clock::time_point begin = {};
    std::unique_ptr<Flight> flight = nullptr;
  };

  void StartCall(Client& client) {
    client.begin = Clock::now();
    client.flight = client.kind->method.start(client.connection, &queue_, &client, client.kind->calls++);
    ++in_flight_;
  }

  void Run() {
    for (const auto& client : clients_) StartCall(*client);
    void* tag;
    bool ok;
    while (in_flight_ > 0 && queue_.Next(&tag, &ok)) {
      Client& client = *static_cast<Client*>(tag);
      --in_flight_;
      const Flight& flight = *client.flight;
      if (!flight.status.ok()) {
        client.kind->samples->Fail(
            absl::StrCat("code ", static_cast<int>(flight.status.error_code()), ": ", flight.status.error_message()));
      } else if (!flight.IsRight()) {
        client.kind->samples->Fail("the answer is not what was asked for");
      } else {
        client.kind->samples->Add(client.begin, Clock::now());
        if (!stopping_.load(std::memory_order_relaxed)) StartCall(client);
      }
    }
  }

  std::map<std::string, Samples> samples_;
  std::vector<std::unique_ptr<Kind>> kinds_;
  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<Client>> clients_;
  int in_flight_ = 0;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Load> NewGrpcLoad(const Servers& servers, const std::vector<Group>& groups,
                                  const Population& population, int64_t seed) {
  return std::make_unique<GrpcLoad>(servers, groups, population, seed);
}

}  // namespace crosskey::benchmark
