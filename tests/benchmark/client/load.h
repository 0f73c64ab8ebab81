// Clients in a closed loop: each has a connection of its own, and sends its next call when the last one is answered.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/benchmark/client/population.h"
#include "tests/benchmark/measure/samples.h"

namespace crosskey::benchmark {

// Clients that make the same kind of call.
struct Group {
  std::string name;
  std::string method;
  int clients;
};

// Reads NAME=METHOD:CLIENTS; throws std::invalid_argument for anything else.
Group ParseGroup(const std::string& text);

// The servers: gRPC addresses of both services, or the HTTP address of one server that does the work of both.
struct Servers {
  std::string users;
  std::string posts;
  std::string http;
};

// A client whose call fails makes no further one: the measurement has failed, and there is no use in a storm of errors.
class Load {
 public:
  virtual ~Load() = default;
  // Returns when every client has its connection and the first calls are on their way. Throws std::runtime_error if a
  // connection cannot be had.
  virtual void Start() = 0;
  // Returns when all calls are answered.
  virtual void Stop() = 0;
  // By group. Only after Stop().
  virtual const std::map<std::string, Samples>& samples() const = 0;
};

// `seed`: other seeds take other posts and users, and their likes and names differ.
std::unique_ptr<Load> NewGrpcLoad(const Servers& servers, const std::vector<Group>& groups,
                                  const Population& population, int64_t seed);
std::unique_ptr<Load> NewHttpLoad(const Servers& servers, const std::vector<Group>& groups,
                                  const Population& population, int64_t seed);

}  // namespace crosskey::benchmark
