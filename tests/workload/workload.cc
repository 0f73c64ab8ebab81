#include "tests/workload/workload.h"

#include "tests/workload/client.h"

namespace crosskey::testing {

Workload::Workload(Cluster& cluster, const Options& options)
    : cluster_(cluster), options_(options), population_(options.users, options.posts), numbers_(options.numbers) {}

Workload::~Workload() { Stop(); }

void Workload::Start() {
  stopping_ = false;
  ++starts_;
  for (int i = 0; i < options_.clients; ++i) {
    std::seed_seq seeds{static_cast<int64_t>(options_.seed), starts_, int64_t{i}};
    uint64_t seed = 0;
    uint32_t words[2];
    seeds.generate(words, words + 2);
    seed = (uint64_t{words[0]} << 32) | words[1];
    clients_.push_back(std::make_unique<Client>(*this, seed));
  }
}

History Workload::Stop() {
  stopping_ = true;
  History all;
  for (const auto& client : clients_) {
    History one = client->Join();
    all.insert(all.end(), std::make_move_iterator(one.begin()), std::make_move_iterator(one.end()));
  }
  clients_.clear();
  return all;
}

}  // namespace crosskey::testing
