// A gRPC server that answers GetPost with the same post, without a database: what gRPC itself allows.
//   crosskey-benchmark-echo ADDRESS [CERTIFICATES KEY]
// With two files (PEM) it does so by TLS. The message has the fields of a post of the benchmark. Runs until SIGTERM.
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include <grpcpp/grpcpp.h>

#include "post/v1/post_service.grpc.pb.h"
#include "tests/benchmark/client/calls.h"

namespace crosskey::benchmark {
namespace {

class Echo : public post::v1::PostService::CallbackService {
 public:
  grpc::ServerUnaryReactor* GetPost(grpc::CallbackServerContext* context, const post::v1::GetPostRequest* request,
                                    post::v1::GetPostResponse* response) override {
    post::v1::Post& post = *response->mutable_post();
    post.set_id(request->id());
    post.set_uid("5f5046d5-bc57-409b-8cd1-a7afa62de9ad");
    post.set_title(title_);
    post.set_user_id(1);
    post.set_content(content_);
    post.mutable_create_time()->set_seconds(1'764'000'000);
    post.mutable_create_time()->set_nanos(123'456'000);
    *post.mutable_update_time() = post.create_time();
    post.set_etag("v1");
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  const std::string title_ = PostTitle();
  const std::string content_ = PostContent();
};

std::string TextOf(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::shared_ptr<grpc::ServerCredentials> TlsWith(const char* certificates, const char* key) {
  grpc::SslServerCredentialsOptions options;
  options.pem_key_cert_pairs.push_back({TextOf(key), TextOf(certificates)});
  return grpc::SslServerCredentials(options);
}

}  // namespace
}  // namespace crosskey::benchmark

int main(int argc, char** argv) {
  if (argc != 2 && argc != 4) {
    std::fprintf(stderr, "usage: crosskey-benchmark-echo ADDRESS [CERTIFICATES KEY]\n");
    return 2;
  }
  // Blocked before the server makes its threads, so that it is this one that waits for the signal.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  crosskey::benchmark::Echo echo;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(
      argv[1], argc == 4 ? crosskey::benchmark::TlsWith(argv[2], argv[3]) : grpc::InsecureServerCredentials());
  builder.RegisterService(&echo);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  int signal;
  sigwait(&signals, &signal);
  server->Shutdown(std::chrono::system_clock::now());
  return 0;
}
