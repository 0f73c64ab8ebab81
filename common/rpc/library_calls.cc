#include "common/rpc/library_calls.h"

#include <algorithm>
#include <string>
#include <utility>

#include <grpc/grpc.h>
#include <grpc/support/alloc.h>

#include "absl/strings/numbers.h"
#include "common/rpc/interceptors.h"

namespace crosskey::rpc {
namespace {

// The numbers that stand behind a key in JSON, as texts there. Frees the JSON.
std::vector<int64_t> NumbersOf(char* json, const std::string& key) {
  std::vector<int64_t> numbers;
  if (json == nullptr) return numbers;
  const std::string text(json);
  gpr_free(json);
  const std::string begin = "\"" + key + "\":\"";
  for (size_t at = text.find(begin); at != std::string::npos; at = text.find(begin, at + 1)) {
    const size_t from = at + begin.size();
    int64_t number = 0;
    if (absl::SimpleAtoi(text.substr(from, text.find('"', from) - from), &number)) numbers.push_back(number);
  }
  return numbers;
}

}  // namespace

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> LibraryCalls::CountThoseThatComeThrough() {
  return InterceptorFactory(
      [handled = handled_](grpc::experimental::ServerRpcInfo&) -> grpc::experimental::Interceptor* {
        ++*handled;
        return nullptr;
      });
}

void LibraryCalls::TakeNewestServer() {
  int64_t next = 0;
  while (true) {  // a page has a hundred servers at most
    const std::vector<int64_t> servers = NumbersOf(grpc_channelz_get_servers(next), "serverId");
    if (servers.empty()) return;
    server_ = *std::max_element(servers.begin(), servers.end());
    next = server_ + 1;
  }
}

int64_t LibraryCalls::NotHandled() const {
  const std::vector<int64_t> started = NumbersOf(grpc_channelz_get_server(server_), "callsStarted");
  // Calls go on meanwhile, so this may be less than nothing for a moment.
  return started.empty() ? 0 : std::max<int64_t>(0, started.front() - *handled_);
}

}  // namespace crosskey::rpc
