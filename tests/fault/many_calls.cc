#include "tests/fault/many_calls.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/client_callback.h>

#include "tests/support/free_port.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

// Opens a connection of its own, because channels with equal arguments share one by default.
std::shared_ptr<grpc::Channel> OwnConnection(int port) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(Loopback(port), grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

ManyCalls::ManyCalls(int port, int connections) {
  for (int i = 0; i < connections; ++i) channels_.push_back(OwnConnection(port));
}

ManyCalls::~ManyCalls() {
  CancelAll();
  WaitFor([&] { return ended_ == static_cast<int>(contexts_.size()); });
}

std::shared_ptr<grpc::ClientContext> ManyCalls::NewContext() {
  contexts_.push_back(ContextFor(kCallLimit));
  return contexts_.back();
}

void ManyCalls::CreatePost(int64_t user) {
  struct Data {
    post::v1::CreatePostRequest request;
    post::v1::CreatePostResponse response;
    std::shared_ptr<grpc::ClientContext> context;
    std::unique_ptr<PostStub> stub;
  };
  auto data = std::make_shared<Data>();
  data->request.set_user_id(user);
  data->request.set_title("title");
  data->context = NewContext();
  data->stub = post::v1::PostService::NewStub(channels_[next_++ % channels_.size()]);
  data->stub->async()->CreatePost(data->context.get(), &data->request, &data->response,
                                  [this, data](const grpc::Status& status) {
                                    outcomes_.Add(status);
                                    if (status.ok()) {
                                      std::lock_guard lock(mutex_);
                                      created_.push_back(data->response.post().id());
                                    }
                                    ++ended_;
                                  });
}

void ManyCalls::DeleteUser(int64_t user) {
  struct Data {
    user::v1::DeleteUserRequest request;
    user::v1::DeleteUserResponse response;
    std::shared_ptr<grpc::ClientContext> context;
    std::unique_ptr<UserStub> stub;
  };
  auto data = std::make_shared<Data>();
  data->request.set_id(user);
  data->context = NewContext();
  data->stub = user::v1::UserService::NewStub(channels_[next_++ % channels_.size()]);
  data->stub->async()->DeleteUser(data->context.get(), &data->request, &data->response,
                                  [this, data](const grpc::Status& status) {
                                    outcomes_.Add(status);
                                    ++ended_;
                                  });
}

void ManyCalls::CancelAll() {
  for (const auto& context : contexts_) context->TryCancel();
}

std::vector<int64_t> ManyCalls::created() const {
  std::lock_guard lock(mutex_);
  return created_;
}

// Sends no message and reads none: OnDone is called when the server ends it, or the context is cancelled.
struct IdleStreams::Stream : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
  explicit Stream(std::atomic<int>& all_ended) : count(all_ended) {}
  void OnDone(const grpc::Status&) override {
    ++count;
    done = true;
  }

  std::atomic<int>& count;
  std::unique_ptr<grpc::ClientContext> context = ContextFor(kCallLimit);
  std::atomic<bool> done = false;
};

IdleStreams::IdleStreams(int port, int connections) {
  for (int i = 0; i < connections; ++i) stubs_.push_back(std::make_unique<grpc::GenericStub>(OwnConnection(port)));
}

IdleStreams::~IdleStreams() {
  for (const auto& stream : streams_) stream->context->TryCancel();
  WaitFor([&] {
    for (const auto& stream : streams_) {
      if (!stream->done) return false;
    }
    return true;
  });
}

void IdleStreams::Open(const std::string& method) {
  auto& stream = streams_.emplace_back(std::make_unique<Stream>(ended_));
  stubs_[streams_.size() % stubs_.size()]->PrepareBidiStreamingCall(stream->context.get(), method, grpc::StubOptions(),
                                                                    stream.get());
  stream->StartCall();
}

}  // namespace crosskey::testing
