// Clients that ask for large answers and never read them.
#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/cluster.h"
#include "tests/support/raw_http2.h"

namespace crosskey::testing {

// Each has a connection to a replica of one of the services, with a flow-control window of zero, and makes a call every
// few seconds. One that was ended, or whose service was, connects again. All of them share one thread.
class SlowReaders {
 public:
  SlowReaders(const Cluster& cluster, int count);
  ~SlowReaders();
  SlowReaders(const SlowReaders&) = delete;
  SlowReaders& operator=(const SlowReaders&) = delete;

  // They call for the next few seconds. In between a round waits until all calls have ended.
  void GoOn();

  int64_t calls() const { return calls_; }
  int64_t connections() const { return connections_; }

 private:
  struct Reader {
    int port;
    bool of_posts;
    std::unique_ptr<RawHttp2> connection;
  };

  void Run();
  void Call(Reader& reader);

  std::vector<Reader> readers_;
  std::atomic<int64_t> calls_ = 0;
  std::atomic<int64_t> connections_ = 0;
  std::atomic<int64_t> until_ = 0;  // seconds since 1970
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

}  // namespace crosskey::testing
