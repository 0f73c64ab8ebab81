#include "tests/contract/stub.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include "tests/contract/call.h"
#include "tests/contract/compare.h"

namespace crosskey::contract {
namespace {

grpc::ByteBuffer ToBuffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

std::string ToBytes(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& slice : slices) bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

}  // namespace

// Serves one call. It looks for the next message when one has been written, and whenever one is appended.
class Stub::Reactor : public grpc::ServerGenericBidiReactor {
 public:
  Reactor(Stub& stub, std::string rpc) : stub_(stub), rpc_(std::move(rpc)) { StartRead(&request_); }

  void OnReadDone(bool ok) override {
    {
      std::lock_guard lock(stub_.mutex_);
      if (ok) stub_.requests_[rpc_] = ToBytes(request_);
      ++stub_.calls_[rpc_];
      ready_ = true;
    }
    Continue();
  }
  void OnWriteDone(bool) override {
    {
      std::lock_guard lock(stub_.mutex_);
      writing_ = false;
    }
    Continue();
  }
  void OnCancel() override {
    {
      std::lock_guard lock(stub_.mutex_);
      if (finished_) return;
      finished_ = true;
    }
    Finish(grpc::Status::CANCELLED);
  }
  void OnDone() override;

  void Continue() {
    grpc::Status status;
    bool write = false;
    {
      std::lock_guard lock(stub_.mutex_);
      if (!ready_ || writing_ || finished_) return;
      const auto reply = stub_.replies_.find(rpc_);
      if (reply == stub_.replies_.end()) {
        finished_ = true;
        status = {grpc::StatusCode::UNIMPLEMENTED, "the stub has no answer for " + rpc_};
      } else if (next_ < reply->second.messages.size()) {
        message_ = ToBuffer(reply->second.messages[next_++]);
        writing_ = write = true;
      } else if (reply->second.stays_open) {
        return;
      } else {
        finished_ = true;
        status = reply->second.status;
      }
    }
    if (write) {
      StartWrite(&message_);
    } else {
      Finish(status);
    }
  }

 private:
  Stub& stub_;
  const std::string rpc_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer message_;
  size_t next_ = 0;
  bool ready_ = false;
  bool writing_ = false;
  bool finished_ = false;
};

class Stub::Service : public grpc::CallbackGenericService {
 public:
  explicit Service(Stub& stub) : stub_(stub) {}

  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override {
    auto* reactor = new Reactor(stub_, context->method().substr(1));
    std::lock_guard lock(mutex_);
    open_.push_back(reactor);
    return reactor;
  }
  void Done(Reactor* reactor) {
    std::lock_guard lock(mutex_);
    open_.erase(std::find(open_.begin(), open_.end(), reactor));
    delete reactor;
  }
  void ContinueAll() {
    std::lock_guard lock(mutex_);
    for (Reactor* reactor : open_) reactor->Continue();
  }

 private:
  Stub& stub_;
  std::mutex mutex_;  // guards what follows
  std::vector<Reactor*> open_;
};

void Stub::Reactor::OnDone() { stub_.service_->Done(this); }

Stub::Stub() : service_(std::make_unique<Service>(*this)) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
  builder.RegisterCallbackGenericService(service_.get());
  server_ = builder.BuildAndStart();
  EXPECT_NE(server_, nullptr);
}

Stub::~Stub() {
  server_->Shutdown(std::chrono::system_clock::now());  // cancels what is open
  server_->Wait();
}

void Stub::Set(const std::string& rpc, Reply reply) {
  std::lock_guard lock(mutex_);
  replies_[rpc] = std::move(reply);
}

Stub::Reply Stub::Answer(const Case& contract, const Variables& variables) {
  Reply reply;
  if (contract.response.has_value()) {
    const MessagePtr response = NewResponse(contract.rpc);
    FromJson(variables.Fill(*contract.response), response.get());
    reply.messages.push_back(response->SerializeAsString());
  } else {
    reply.status = StatusFromJson(variables.Fill(*contract.status));
  }
  Set(contract.rpc, reply);
  return reply;
}

void Stub::ExpectLastRequest(const std::string& rpc, const Json& request) const {
  const MessagePtr sent = NewRequest(rpc);
  const MessagePtr meant = NewRequest(rpc);
  EXPECT_TRUE(sent->ParseFromString(LastRequest(rpc)));
  FromJson(request, meant.get());
  EXPECT_EQ(ToJson(*sent), ToJson(*meant)) << "the consumer sends another request than the case says";
}

void Stub::Append(const std::string& rpc, const std::string& message) {
  {
    std::lock_guard lock(mutex_);
    replies_[rpc].messages.push_back(message);
  }
  service_->ContinueAll();
}

std::string Stub::LastRequest(const std::string& rpc) const {
  std::lock_guard lock(mutex_);
  const auto found = requests_.find(rpc);
  return found == requests_.end() ? "" : found->second;
}

int Stub::Calls(const std::string& rpc) const {
  std::lock_guard lock(mutex_);
  const auto found = calls_.find(rpc);
  return found == calls_.end() ? 0 : found->second;
}

}  // namespace crosskey::contract
