// One client of a workload: a thread, its random numbers and its history.
#pragma once

#include <thread>

#include "tests/workload/caller.h"
#include "tests/workload/workload.h"

namespace crosskey::testing {

class Workload::Client {
 public:
  Client(Workload& workload, uint64_t seed)
      : workload_(workload),
        random_(seed),
        caller_(workload.cluster_, workload.options_.faults, random_, history_),
        thread_([this] { Run(); }) {}

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
  void LikePost();
  void UnlikePost();
  void ChangePin(bool pin);
  void ListPostLikes();
  void ListLikedPosts();

  // See Caller::Call.
  template <typename Stub, typename Request, typename Response>
  Entry& Record(Entry entry, Method<Stub, Request, Response> method, const Request& request, Response* response);
  int64_t UserToWriteTo();
  int64_t SomePost() { return Chance(20) ? population().HotPost(random_) : population().AnyPost(random_); }
  int64_t UserToLike() { return Chance(70) ? population().LivingUser(random_) : population().AnyUser(random_); }
  Population::Like SomeLike();
  int64_t NextNumber() { return ++workload_.numbers_; }
  bool Chance(int percent) { return Between(random_, 1, 100) <= percent; }
  Population& population() { return workload_.population_; }

  Workload& workload_;
  Random random_;
  History history_;
  Caller caller_;
  std::thread thread_;
};

}  // namespace crosskey::testing
