// Makes the calls of a file of cases as the C++ example would, and compares the answers: access-cases CASES_JSON
//
// How the file is written: README.md.
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/empty.pb.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/client_unary_call.h>
#include <nlohmann/json.hpp>

#include "deploy/clients/cpp/credentials.h"
#include "deploy/clients/cpp/errors.h"
#include "post/v1/post_service.grpc.pb.h"
#include "user/v1/user_service.grpc.pb.h"

namespace {

// "OK", or the code, the reason unless it is the same word, and why.
std::string Outcome(const grpc::Status& status) {
  auto error = crosskey::client::ReadError(status);
  std::string outcome = crosskey::client::CodeName(error.code);
  if (!error.reason.empty() && error.reason != outcome) outcome += " " + error.reason;
  if (error.metadata.count("why") > 0) outcome += " " + error.metadata["why"];
  return outcome;
}

// A request of the method's type; an empty one if the case has none.
std::unique_ptr<google::protobuf::Message> RequestOf(const nlohmann::json& test) {
  if (!test.contains("request")) return std::make_unique<google::protobuf::Empty>();
  std::string name = test["method"];
  name[name.find('/')] = '.';
  const auto* method = google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(name);
  std::unique_ptr<google::protobuf::Message> request(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(method->input_type())->New());
  const auto parsed = google::protobuf::util::JsonStringToMessage(test["request"].dump(), request.get());
  if (!parsed.ok()) throw std::runtime_error(parsed.ToString());
  return request;
}

std::string CallOnce(grpc::Channel* channel, const nlohmann::json& test) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  const std::string path = "/" + test["method"].get<std::string>();
  const grpc::internal::RpcMethod method(path.c_str(), grpc::internal::RpcMethod::NORMAL_RPC);
  // The fields of an answer do not matter: to this type all of them are unknown.
  google::protobuf::Empty response;
  return Outcome(grpc::internal::BlockingUnaryCallImpl<google::protobuf::MessageLite, google::protobuf::MessageLite>(
                     channel, method, &context, *RequestOf(test), &response)
                     .status());
}

std::string Call(const nlohmann::json& test) {
  for (const char* name : {"CROSSKEY_CA", "CROSSKEY_CERT", "CROSSKEY_KEY", "CROSSKEY_TOKEN_FILE"}) unsetenv(name);
  for (const auto& [name, value] : test["environment"].items()) {
    setenv(name.c_str(), value.get<std::string>().c_str(), 1);
  }
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto channel = grpc::CreateCustomChannel(test["target"].get<std::string>(),
                                                 crosskey::client::CredentialsFromEnvironment(), arguments);
  if (!test.contains("tokens")) return CallOnce(channel.get(), test);
  std::string answers;
  for (const auto& token : test["tokens"]) {
    std::filesystem::copy_file(token.get<std::string>(), std::getenv("CROSSKEY_TOKEN_FILE"),
                               std::filesystem::copy_options::overwrite_existing);
    answers += (answers.empty() ? "" : ", then ") + CallOnce(channel.get(), test);
  }
  return answers;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: access-cases CASES_JSON\n";
    return 2;
  }
  std::ifstream file(argv[1]);
  const auto cases = nlohmann::json::parse(file);
  int wrong = 0;
  for (const auto& test : cases) {
    const std::string outcome = Call(test);
    if (outcome == test["answer"]) continue;
    ++wrong;
    std::cout << "WRONG  " << test["name"].get<std::string>() << ": " << outcome << ", not "
              << test["answer"].get<std::string>() << "\n";
  }
  std::cout << cases.size() << " cases, " << wrong << " wrong\n";
  return wrong == 0 && !cases.empty() ? 0 : 1;
}
