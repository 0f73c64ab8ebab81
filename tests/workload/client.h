// One client of a workload: a thread, its random numbers and its history.
#pragma once

#include <atomic>
#include <thread>

#include "tests/workload/workload.h"

namespace crosskey::testing {

class Workload::Client {
 public:
  Client(Workload& workload, uint64_t seed) : workload_(workload), random_(seed), thread_([this] { Run(); }) {}

  History Join();

 private:
  void Run();
  void CallSomething();
  void CreateUser();
  void CreatePost();
  void BatchCreatePosts();
  void UpdatePost(bool move);
  void DeletePost();
  void DeleteUser(int64_t user, ::relation::v1::ReferentialAction action);
  void DeleteSomeUser();
  void GetPost();
  void ListPosts();
  void GetUser();
  void GetUserDeletion();

  // Makes the call and records how it ended; the entry is finished by the caller.
  template <typename Stub, typename Request, typename Response>
  Entry& Record(Entry entry, Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                const Request& request, Response* response);
  int Replica() { return static_cast<int>(Between(random_, 0, workload_.cluster_.replicas() - 1)); }
  int64_t UserToWriteTo();
  int64_t NextNumber() { return ++workload_.numbers_; }
  bool Chance(int percent) { return Between(random_, 1, 100) <= percent; }
  Population& population() { return workload_.population_; }

  Workload& workload_;
  Random random_;
  History history_;
  int in_a_row_ = 0;  // calls that found nobody
  std::thread thread_;
};

}  // namespace crosskey::testing
