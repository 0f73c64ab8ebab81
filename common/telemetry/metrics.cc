#include "common/telemetry/metrics.h"

#include <atomic>
#include <chrono>
#include <exception>
#include <thread>
#include <utility>
#include <vector>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "prometheus/exposer.h"

namespace crosskey::telemetry {
namespace {

// Opens a connection to a port of the loopback address and closes it.
void Touch(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  // Whether this succeeds does not matter: without a connection the server takes its two seconds at worst.
  static_cast<void>(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)));
  close(fd);
}

}  // namespace

Metrics::Metrics(const std::string& service, const std::string& version)
    : registry_(std::make_shared<prometheus::Registry>()) {
  Gauge("crosskey_build_info", "Always 1; the labels say what is running.",
        {{"service", service}, {"version", version}})
      .Set(1);
}

prometheus::Counter& Metrics::Counter(const std::string& name, const std::string& help,
                                      const prometheus::Labels& labels) {
  return Counters(name, help).Add(labels);
}

prometheus::Gauge& Metrics::Gauge(const std::string& name, const std::string& help, const prometheus::Labels& labels) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(*registry_).Add(labels);
}

prometheus::Histogram& Metrics::Histogram(const std::string& name, const std::string& help,
                                          const prometheus::Histogram::BucketBoundaries& buckets,
                                          const prometheus::Labels& labels) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(*registry_).Add(labels, buckets);
}

prometheus::Family<prometheus::Counter>& Metrics::Counters(const std::string& name, const std::string& help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(*registry_);
}

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(const Metrics& metrics,
                                                                    const std::string& address) {
  try {
    // A client that sends half a request holds a thread until the time-out.
    auto exposer = std::make_unique<prometheus::Exposer>(
        std::vector<std::string>{"listening_ports", address, "num_threads", "3", "request_timeout_ms", "2000"});
    exposer->RegisterCollectable(metrics.registry_);
    const std::vector<int> ports = exposer->GetListeningPorts();
    if (ports.empty()) return absl::UnavailableError(absl::StrCat("metrics: nothing listens on ", address));
    return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(exposer), ports.front()));
  } catch (const std::exception&) {
    // The library's own text is left out, because it only guesses that the port could be the reason.
    return absl::UnavailableError(absl::StrCat("metrics: cannot listen on ", address,
                                               ": the port is taken, or it is no address of this machine"));
  }
}

MetricsServer::MetricsServer(std::unique_ptr<prometheus::Exposer> exposer, int port)
    : exposer_(std::move(exposer)), port_(port) {}

MetricsServer::~MetricsServer() {
  // The HTTP server checks only every two seconds, or when somebody connects, whether it should end. So connect to it
  // until it has ended.
  std::atomic<bool> ended = false;
  std::thread end([this, &ended] {
    exposer_.reset();
    ended = true;
  });
  while (!ended) {
    Touch(port_);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  end.join();
}

}  // namespace crosskey::telemetry
