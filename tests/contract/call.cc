#include "tests/contract/call.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/synchronization/notification.h"
#include "event/v1/event_service.grpc.pb.h"
#include "tests/contract/compare.h"
#include "tests/support/pair.h"

namespace crosskey::contract {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::MessageFactory;
using google::protobuf::MethodDescriptor;

const MethodDescriptor* MethodOf(const std::string& rpc) {
  const auto* method = DescriptorPool::generated_pool()->FindMethodByName(absl::StrReplaceAll(rpc, {{"/", "."}}));
  EXPECT_NE(method, nullptr) << "there is no method " << rpc;
  return method;
}

MessagePtr New(const Descriptor* type) {
  return MessagePtr(MessageFactory::generated_factory()->GetPrototype(type)->New());
}

Answer ErrorOf(const grpc::Status& status) { return {std::nullopt, ToJson(status)}; }

Answer FirstOfStream(const std::shared_ptr<grpc::Channel>& channel, const Json& json) {
  event::v1::SubscribeRequest request;
  FromJson(json, &request);
  const auto context = testing::Context();
  const auto reader = event::v1::EventService::NewStub(channel)->Subscribe(context.get(), request);
  event::v1::SubscribeResponse first;
  const bool any = reader->Read(&first);
  if (any) context->TryCancel();
  const grpc::Status status = reader->Finish();
  return any ? Answer{ToJson(first), std::nullopt} : ErrorOf(status);
}

}  // namespace

MessagePtr NewRequest(const std::string& rpc) {
  const auto* method = MethodOf(rpc);
  return method == nullptr ? nullptr : New(method->input_type());
}

MessagePtr NewResponse(const std::string& rpc) {
  const auto* method = MethodOf(rpc);
  return method == nullptr ? nullptr : New(method->output_type());
}

Answer CallMethod(const std::shared_ptr<grpc::Channel>& channel, const std::string& rpc, const Json& request) {
  if (rpc == "event.v1.EventService/Subscribe") return FirstOfStream(channel, request);
  const MessagePtr message = NewRequest(rpc);
  const MessagePtr response = NewResponse(rpc);
  if (message == nullptr) return {};
  FromJson(request, message.get());
  grpc::ByteBuffer sent;
  bool own = false;
  EXPECT_TRUE((grpc::GenericSerialize<grpc::ProtoBufferWriter, google::protobuf::Message>(*message, &sent, &own)).ok());

  const auto context = testing::Context();
  grpc::ByteBuffer received;
  grpc::Status status;
  absl::Notification done;
  grpc::GenericStub(channel).UnaryCall(context.get(), absl::StrCat("/", rpc), grpc::StubOptions(), &sent, &received,
                                       [&](const grpc::Status& end) {
                                         status = end;
                                         done.Notify();
                                       });
  done.WaitForNotification();
  if (!status.ok()) return ErrorOf(status);
  EXPECT_TRUE(
      (grpc::GenericDeserialize<grpc::ProtoBufferReader, google::protobuf::Message>(&received, response.get())).ok());
  return {ToJson(*response), std::nullopt};
}

}  // namespace crosskey::contract
