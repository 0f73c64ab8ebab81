#include "tests/support/internal_channel.h"

#include <mutex>

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/client_interceptor.h>

#include "absl/strings/str_cat.h"
#include "common/rpc/channel.h"
#include "tests/support/free_port.h"
#include "tests/support/secured.h"

namespace crosskey::testing {
namespace {

using grpc::experimental::InterceptionHookPoints;

// The two sides, read when the first call is made: a database gets its identity when its service starts.
class Sides {
 public:
  Sides(const TestDatabase& caller, const TestDatabase& callee, bool from_users)
      : caller_(caller), callee_(callee), from_users_(from_users) {}

  Parties Read() {
    std::lock_guard lock(mutex_);
    const char* const users = "user-service";
    const char* const posts = "post-service";
    if (parties_.caller.id.empty()) parties_.caller = InstanceOf(caller_, from_users_ ? users : posts);
    if (parties_.callee.id.empty()) parties_.callee = InstanceOf(callee_, from_users_ ? posts : users);
    return parties_;
  }

 private:
  const TestDatabase& caller_;
  const TestDatabase& callee_;
  const bool from_users_;
  std::mutex mutex_;
  Parties parties_;
};

class Signer final : public grpc::experimental::Interceptor {
 public:
  explicit Signer(Parties parties) : parties_(std::move(parties)) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      methods->GetSendInitialMetadata()->insert({rpc::kCallerKey, rpc::FormatInstance(parties_.caller)});
      methods->GetSendInitialMetadata()->insert({rpc::kCalleeKey, rpc::FormatInstance(parties_.callee)});
    }
    methods->Proceed();
  }

 private:
  const Parties parties_;
};

class SignerFactory final : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  explicit SignerFactory(std::shared_ptr<Sides> sides) : sides_(std::move(sides)) {}
  grpc::experimental::Interceptor* CreateClientInterceptor(grpc::experimental::ClientRpcInfo*) override {
    return new Signer(sides_->Read());  // gRPC owns it from here on
  }

 private:
  const std::shared_ptr<Sides> sides_;
};

}  // namespace

Instance InstanceOf(const TestDatabase& database, const std::string& service) {
  const std::string tables = database.is_sqlite()
                                 ? "SELECT COUNT(*) FROM sqlite_master WHERE name = 'instances'"
                                 : "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() "
                                   "AND table_name = 'instances'";
  if (database.Number(tables) == 0) return {service, ""};
  const auto rows = database.Query(absl::StrCat("SELECT instance_id FROM instances WHERE name = '", service, "'"));
  return {service, rows.empty() ? "" : rows.front().front()};
}

std::shared_ptr<grpc::Channel> OpenInternalChannel(int port, const TestDatabase& users, const TestDatabase& posts,
                                                   bool from_users,
                                                   const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetSslTargetNameOverride(Secured::kHost);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
  std::vector<std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(std::make_unique<SignerFactory>(
      std::make_shared<Sides>(from_users ? users : posts, from_users ? posts : users, from_users)));
  return grpc::experimental::CreateCustomChannelWithInterceptors(Loopback(port), credentials, arguments,
                                                                 std::move(interceptors));
}

}  // namespace crosskey::testing
