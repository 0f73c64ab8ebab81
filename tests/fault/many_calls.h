// Has many calls and streams under way at a time, without a thread for each.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <grpcpp/generic/generic_stub.h>

#include "tests/fault/calls.h"

namespace crosskey::testing {

// Calls with a deadline of a minute, spread over connections of their own. One thread starts them.
class ManyCalls {
 public:
  ManyCalls(int port, int connections);
  ~ManyCalls();  // cancels what has not ended
  ManyCalls(const ManyCalls&) = delete;
  ManyCalls& operator=(const ManyCalls&) = delete;

  void CreatePost(int64_t user);
  void DeleteUser(int64_t user);
  void CancelAll();

  int ended() const { return ended_; }
  const Outcomes& outcomes() const { return outcomes_; }
  std::vector<int64_t> created() const;  // ids of posts

 private:
  std::shared_ptr<grpc::ClientContext> NewContext();

  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  std::vector<std::shared_ptr<grpc::ClientContext>> contexts_;
  size_t next_ = 0;
  std::atomic<int> ended_ = 0;
  Outcomes outcomes_;
  mutable std::mutex mutex_;
  std::vector<int64_t> created_;
};

// Streams that are opened and then left alone.
class IdleStreams {
 public:
  IdleStreams(int port, int connections);
  ~IdleStreams();
  IdleStreams(const IdleStreams&) = delete;
  IdleStreams& operator=(const IdleStreams&) = delete;

  void Open(const std::string& method);
  // How many the server has ended.
  int ended() const { return ended_; }

 private:
  struct Stream;

  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  std::deque<std::unique_ptr<Stream>> streams_;
  std::atomic<int> ended_ = 0;
};

}  // namespace crosskey::testing
