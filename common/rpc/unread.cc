#include "common/rpc/unread.h"

#include <optional>
#include <utility>
#include <vector>

#include <grpcpp/support/byte_buffer.h>

#include "absl/time/clock.h"
#include "common/rpc/interceptors.h"

namespace crosskey::rpc {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::InterceptorBatchMethods;

}  // namespace

// gRPC destroys it when it is done with the call.
class Unread::Sent : public grpc::experimental::Interceptor {
 public:
  Sent(std::shared_ptr<Unread> unread, grpc::ServerContextBase& context)
      : unread_(std::move(unread)), context_(context) {}
  ~Sent() override {
    if (message_.has_value()) unread_->Remove(*message_);
  }

  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_MESSAGE) && !message_.has_value()) {
      const grpc::ByteBuffer* const bytes = methods->GetSerializedSendMessage();
      message_ = unread_->Add(context_, bytes == nullptr ? 0 : static_cast<int64_t>(bytes->Length()));
    }
    methods->Proceed();
  }

 private:
  const std::shared_ptr<Unread> unread_;
  grpc::ServerContextBase& context_;
  std::optional<Messages::iterator> message_;
};

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> Unread::FactoryFor(
    std::shared_ptr<Unread> self) {
  using grpc::experimental::ServerRpcInfo;
  return InterceptorFactory([self = std::move(self)](ServerRpcInfo& info) -> grpc::experimental::Interceptor* {
    return info.type() == ServerRpcInfo::Type::UNARY ? new Sent(self, *info.server_context()) : nullptr;
  });
}

Unread::Messages::iterator Unread::Add(grpc::ServerContextBase& context, int64_t bytes) {
  Messages::iterator message;
  {
    std::lock_guard lock(mutex_);
    message = waiting_.insert(waiting_.end(), Message{CallRef(context), bytes, absl::Now()});
    bytes_ += bytes;
    if (waiting_.size() <= bounds_.answers && bytes_ <= bounds_.bytes) return message;
  }
  // Not the one that has just been added, which may be large and alone.
  EndOldest([this](const Message&) {
    return waiting_.size() > 1 && (waiting_.size() > bounds_.answers || bytes_ > bounds_.bytes);
  });
  return message;
}

void Unread::Remove(Messages::iterator message) {
  std::optional<CallRef> call;  // let go without the lock
  std::lock_guard lock(mutex_);
  call = std::move(message->call);
  if (call.has_value()) bytes_ -= message->bytes;
  (call.has_value() ? waiting_ : gone_).erase(message);
}

template <typename Goes>
void Unread::EndOldest(const Goes& goes) {
  std::vector<CallRef> calls;
  {
    std::lock_guard lock(mutex_);
    while (!waiting_.empty() && goes(waiting_.front())) {
      bytes_ -= waiting_.front().bytes;
      calls.push_back(*std::move(waiting_.front().call));
      waiting_.front().call.reset();
      gone_.splice(gone_.end(), waiting_, waiting_.begin());
    }
  }
  for (const CallRef& call : calls) {
    ended_.Increment();
    call.End(GRPC_STATUS_RESOURCE_EXHAUSTED, "the answer was not read in time");
  }
}

void Unread::Sweep(absl::Time now) {
  EndOldest([this, now](const Message& message) { return now - message.since > bounds_.longest; });
}

}  // namespace crosskey::rpc
