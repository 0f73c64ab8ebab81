// Compares the rows that the pair of services shows and stores with those that the oracle has.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/oracle/operations.h"
#include "tests/oracle/oracle.h"
#include "tests/support/pair.h"

namespace crosskey::testing {

// Maps the ids of the services to those of the oracle, and back. That is possible because both give ids in the order of
// creation. A row that never existed has the same id in both.
class Ids {
 public:
  // The services gave this id to the row that has the next id in the oracle.
  void Add(int64_t of_pair);
  int64_t ToPair(int64_t of_oracle) const;
  // "?" and the id if it is not known.
  std::string ToOracle(int64_t of_pair) const;
  int64_t count() const { return static_cast<int64_t>(to_pair_.size()); }

 private:
  std::vector<int64_t> to_pair_;
  std::map<int64_t, int64_t> to_oracle_;
};

// The users and posts that an operation concerns, in ids of the oracle.
struct Touched {
  std::set<int64_t> users;
  std::set<int64_t> posts;
};

class Comparison {
 public:
  Comparison(Pair& pair, Oracle& oracle, uint64_t seed) : pair_(pair), oracle_(oracle), random_(seed) {}

  Ids users;
  Ids posts;
  // The operation with the ids of the services.
  Operation ToPair(Operation operation) const;

  // The answer to a write has to show the rows as the oracle has them now. From the answer to a create the new ids are
  // learned.
  void CompareAnswer(const Operation& operation, const Outcome& outcome);
  // Compares all that post-service owns, which has to be right at every moment.
  void ComparePosts(const Touched& touched);
  // Compares all that user-service owns, and what post-service reads there. That has to be right once the pins of
  // deleted posts are gone.
  void CompareUsers(const Touched& touched);
  // Compares users without their pins, which have to be right at every moment.
  void CompareNames();
  // Compares the tables of both services, which have to be quiet.
  void CompareTables();
  void Expect(const std::string& what, const std::vector<std::string>& expected, const std::vector<std::string>& got);

  // What was different, a line each; empty: nothing.
  const std::string& differences() const { return differences_; }

 private:
  std::vector<std::string> UserLines(const std::string& where);
  std::vector<std::string> PostLines(const std::string& rest);
  std::string LineOf(const user::v1::User& user) const;
  std::string LineOf(const post::v1::Post& post) const;
  // Reads all pages. `status` becomes the status of the last call.
  template <typename Request, typename Response, typename Stub>
  std::vector<Response> Pages(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                              Request request, std::string* status);
  void ComparePostsOf(int64_t user);
  void CompareLikesOf(int64_t post);
  void ComparePost(int64_t post);
  void CompareUser(int64_t user);
  void CompareIncludedUsers();

  Pair& pair_;
  Oracle& oracle_;
  Random random_;  // how to ask: sizes of pages and the like
  std::string differences_;
};

}  // namespace crosskey::testing
