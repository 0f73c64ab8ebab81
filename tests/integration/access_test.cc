// Who may do what, on the wire: every method of both listeners with every kind of caller, owners, request_ids, the
// audit record, and files that change while calls go on.
#include <fstream>

#include <grpcpp/impl/client_unary_call.h>
#include <nlohmann/json.hpp>

#include "google/protobuf/empty.pb.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/support/metric_of.h"
#include "tests/support/secured.h"

namespace crosskey::testing {
namespace {

using post::v1::PostService;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using user::v1::UserService;

constexpr char kCaller[] = "spiffe://crosskey/caller";
constexpr char kId[] = "6f1c9a52-5a0e-4f0b-9d35-7a1f2f3c4d5e";

// The reason and the `why` of a refusal: "UNAUTHENTICATED expired". What the handler itself says is "passed".
std::string Outcome(const grpc::Status& status) {
  const auto code = status.error_code();
  const bool is_refusal = code == grpc::StatusCode::UNAUTHENTICATED || code == grpc::StatusCode::PERMISSION_DENIED;
  if (code == grpc::StatusCode::UNAVAILABLE && status.error_details().empty()) return "no connection";
  if (code == grpc::StatusCode::UNIMPLEMENTED) return "unknown method";
  if (!is_refusal) return "passed";
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  if (!details.ParseFromString(status.error_details()) || details.details_size() != 1 ||
      !details.details(0).UnpackTo(&info)) {
    return "without details";
  }
  return absl::StrCat(info.reason(), " ", info.metadata().at("why"));
}

struct Credentials {
  KeyAndCertificate certificate{};
  std::vector<std::string> authorizations{};
};

std::vector<std::string> MethodsOf(const std::string& service) {
  std::vector<std::string> methods;
  const auto* found = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(service);
  for (int i = 0; i < found->method_count(); ++i) methods.push_back("/" + service + "/" + found->method(i)->name());
  return methods;
}

class AccessTest : public ::testing::Test {
 protected:
  AccessTest() : pair_("sqlite", false) {
    pair_.adjust = [this](bool users, process::Options& options) {
      secured_.Apply(users ? Side::kUsers : Side::kPosts, options);
      options.audit_log = AuditPath(users);
      if (adjust_) adjust_(options);
    };
  }

  void Start() {
    pair_.StartUsers();
    pair_.StartPosts();
  }

  std::string AuditPath(bool users) const { return secured_.folder().Path(users ? "user.audit" : "post.audit"); }
  std::vector<nlohmann::json> Audit(bool users) const {
    std::vector<nlohmann::json> lines;
    std::ifstream file(AuditPath(users));
    for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
  }

  Credentials Bearer(const std::string& name) const { return {{}, {"Bearer " + secured_.Token(name)}}; }
  Credentials With(const KeyAndCertificate& certificate) const { return {certificate, {}}; }

  static void Present(grpc::ClientContext& context, const Credentials& credentials) {
    context.set_deadline(absl::ToChronoTime(absl::Now() + Patience()));
    for (const std::string& value : credentials.authorizations) context.AddMetadata("authorization", value);
  }

  // Calls a method by its name with an empty request.
  std::string Try(int port, const std::string& method, const Credentials& credentials) const {
    const auto channel = secured_.Open(port, credentials.certificate);
    grpc::ClientContext context;
    Present(context, credentials);
    const grpc::internal::RpcMethod unary(method.c_str(), grpc::internal::RpcMethod::NORMAL_RPC);
    google::protobuf::Empty request, response;
    return Outcome(grpc::internal::BlockingUnaryCallImpl<grpc::protobuf::MessageLite, grpc::protobuf::MessageLite>(
                       channel.get(), unary, &context, request, &response)
                       .status());
  }

  // All outcomes of the public methods whose names begin with one of these, of both services.
  std::set<std::string> TryAll(const std::vector<std::string>& verbs, const Credentials& credentials) const {
    std::set<std::string> outcomes;
    for (const auto& [service, port] :
         {std::pair("user.v1.UserService", pair_.user_port()), std::pair("post.v1.PostService", pair_.post_port())}) {
      for (const std::string& method : MethodsOf(service)) {
        const std::string name = method.substr(method.rfind('/') + 1);
        const bool asked = std::any_of(verbs.begin(), verbs.end(),
                                       [&](const std::string& verb) { return absl::StartsWith(name, verb); });
        if (asked) outcomes.insert(Try(port, method, credentials));
      }
    }
    return outcomes;
  }

  template <typename Stub, typename Request, typename Response>
  grpc::Status Call(int port, const std::string& token,
                    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) const {
    Stub stub(secured_.Open(port));
    grpc::ClientContext context;
    Present(context, Bearer(token));
    context.set_wait_for_ready(true);
    return (stub.*method)(&context, request, response);
  }

  int64_t CreateUser(const std::string& token, const std::string& name, const std::string& request_id = "") {
    user::v1::CreateUserRequest request;
    request.set_username(name);
    request.set_request_id(request_id);
    user::v1::CreateUserResponse response;
    const auto status = Call(pair_.user_port(), token, &UserService::Stub::CreateUser, request, &response);
    EXPECT_THAT(status, GrpcOk());
    return response.user().id();
  }
  grpc::Status CreatePost(const std::string& token, int64_t user_id, int64_t* id = nullptr) {
    post::v1::CreatePostRequest request;
    request.set_user_id(user_id);
    request.set_title("title");
    post::v1::CreatePostResponse response;
    const auto status = Call(pair_.post_port(), token, &PostService::Stub::CreatePost, request, &response);
    if (id != nullptr) *id = response.post().id();
    return status;
  }

  const std::vector<std::string> kReads = {"Get", "List", "BatchGet"};
  const std::vector<std::string> kWrites = {"Create", "BatchCreate", "Update", "Like", "Unlike"};
  const std::vector<std::string> kDeletes = {"Delete"};
  const std::vector<std::string> kAll = {""};

  Secured secured_;
  std::function<void(process::Options&)> adjust_;
  Pair pair_;
};

TEST_F(AccessTest, EveryPublicMethodForEveryKindOfCaller) {
  Start();
  const std::set<std::string> passed = {"passed"}, denied = {"PERMISSION_DENIED policy"};
  const auto unauthenticated = [](const std::string& why) { return std::set<std::string>{"UNAUTHENTICATED " + why}; };
  const auto token = [](const std::string& value) { return Credentials{{}, {value}}; };

  EXPECT_EQ(TryAll(kAll, {}), unauthenticated("no_credentials"));
  EXPECT_EQ(TryAll(kAll, token("Bearer 0123456789abcdef0123456789abcdef-nobody")), unauthenticated("unknown"));
  EXPECT_EQ(TryAll(kAll, Bearer("expired")), unauthenticated("expired"));
  EXPECT_EQ(TryAll(kAll, token("Basic YTpi")), unauthenticated("malformed"));
  EXPECT_EQ(TryAll(kAll, token("Bearer ")), unauthenticated("malformed"));
  const std::string good = "Bearer " + secured_.Token("operator");
  EXPECT_EQ(TryAll(kAll, {{}, {good, good}}), unauthenticated("malformed"));
  EXPECT_EQ(TryAll(kAll, Bearer("stranger")), denied);

  EXPECT_EQ(TryAll(kReads, Bearer("reader")), passed);
  EXPECT_EQ(TryAll(kWrites, Bearer("reader")), denied);
  EXPECT_EQ(TryAll(kDeletes, Bearer("reader")), denied);
  EXPECT_EQ(TryAll(kReads, Bearer("writer")), denied);
  EXPECT_EQ(TryAll(kWrites, Bearer("writer")), passed);
  EXPECT_EQ(TryAll(kDeletes, Bearer("writer")), denied);
  EXPECT_EQ(TryAll(kReads, Bearer("deleter")), denied);
  EXPECT_EQ(TryAll(kWrites, Bearer("deleter")), denied);
  EXPECT_EQ(TryAll(kDeletes, Bearer("deleter")), passed);
  EXPECT_EQ(TryAll(kAll, Bearer("both")), passed);
  EXPECT_EQ(TryAll(kAll, Bearer("operator")), passed);

  const auto issue = [&](const Leaf& leaf) { return With(secured_.callers().Issue(leaf)); };
  Leaf expired{{kCaller}};
  expired.end = absl::Now() - absl::Minutes(5);
  EXPECT_EQ(TryAll(kAll, issue({{kCaller}})), passed);
  EXPECT_EQ(TryAll(kAll, issue({{"spiffe://crosskey/stranger"}})), denied);
  EXPECT_EQ(TryAll(kAll, issue({{kCaller, "spiffe://crosskey/other"}})), unauthenticated("ambiguous"));
  EXPECT_EQ(TryAll(kAll, issue({{"token:operator"}})), unauthenticated("malformed"));
  EXPECT_EQ(TryAll(kAll, issue({})), unauthenticated("no_credentials"));
  EXPECT_EQ(TryAll(kAll, issue(expired)), std::set<std::string>{"no connection"});
  EXPECT_EQ(TryAll(kAll, With(secured_.ca().Issue({{kCaller}}))), std::set<std::string>{"no connection"});
  // A header counts before a certificate.
  Credentials both = issue({{kCaller}});
  both.authorizations = {"Bearer " + secured_.Token("reader")};
  EXPECT_EQ(TryAll(kDeletes, both), denied);
  both.authorizations = {"Bearer 0123456789abcdef0123456789abcdef-nobody"};
  EXPECT_EQ(TryAll(kAll, both), unauthenticated("unknown"));
}

// The protocol of the pair is for the pair alone, whatever the policy says.
TEST_F(AccessTest, EveryInternalMethodIsForThePeerAlone) {
  Start();
  for (const bool users : {true, false}) {
    const Side side = users ? Side::kUsers : Side::kPosts;
    const int port = users ? pair_.user_internal_port() : pair_.post_internal_port();
    const int in_front = users ? pair_.user_port() : pair_.post_port();
    std::vector<std::string> methods = MethodsOf("event.v1.EventService");
    for (const std::string& method : MethodsOf("relation.v1.ReferenceService")) methods.push_back(method);
    std::vector<std::string> internal = methods;
    if (users) internal.push_back("/user.v1.UserService/BatchGetUsers");
    const KeyAndCertificate stranger = secured_.ca().Issue({{"spiffe://crosskey/stranger"}});
    const KeyAndCertificate two =
        secured_.ca().Issue({{"spiffe://crosskey/post-service", "spiffe://crosskey/user-service"}});
    const KeyAndCertificate own = secured_.PeerOf(users ? Side::kPosts : Side::kUsers);
    for (const std::string& method : internal) {
      // The stream of the peer would not end.
      const bool ends = !absl::EndsWith(method, "/Subscribe");
      if (ends) {
        EXPECT_EQ(Try(port, method, With(secured_.PeerOf(side))), "passed") << method;
      }
      EXPECT_EQ(Try(port, method, {}), "no connection") << method;
      EXPECT_EQ(Try(port, method, With(secured_.callers().Issue({{kCaller}}))), "no connection") << method;
      EXPECT_EQ(Try(port, method, With(stranger)), "PERMISSION_DENIED peer") << method;
      EXPECT_EQ(Try(port, method, With(two)), "PERMISSION_DENIED peer") << method;
      EXPECT_EQ(Try(port, method, With(own)), "PERMISSION_DENIED peer") << method;
      Credentials with_token{stranger, {"Bearer " + secured_.Token("operator")}};
      EXPECT_EQ(Try(port, method, with_token), "PERMISSION_DENIED peer") << method;
    }
    // In front there is no such method, for nobody.
    for (const std::string& method : methods) {
      for (const char* role : {"reader", "writer", "deleter", "operator", "owner", "stranger"}) {
        EXPECT_EQ(Try(in_front, method, Bearer(role)), "unknown method") << method;
      }
    }
  }
}

TEST_F(AccessTest, AnOwnerWritesInItsOwnNameOnly) {
  Start();
  const int64_t ada = CreateUser("operator", "ada"), bob = CreateUser("operator", "bob");
  secured_.BindOwner(ada);
  int64_t own = 0, other = 0;
  ASSERT_TRUE(WaitFor([&] { return CreatePost("owner", ada, &own).ok(); }));
  ASSERT_THAT(CreatePost("operator", bob, &other), GrpcOk());
  const std::string denied = "PERMISSION_DENIED owner";
  EXPECT_EQ(Outcome(CreatePost("owner", bob)), denied);

  post::v1::BatchCreatePostsRequest batch;
  for (const int64_t user : {ada, bob}) {
    batch.add_requests()->set_user_id(user);
    batch.mutable_requests(batch.requests_size() - 1)->set_title("title");
  }
  post::v1::BatchCreatePostsResponse batch_response;
  const int posts = pair_.post_port();
  EXPECT_EQ(Outcome(Call(posts, "owner", &PostService::Stub::BatchCreatePosts, batch, &batch_response)), denied);

  const auto update = [&](int64_t id, int64_t user) {
    post::v1::UpdatePostRequest request;
    request.mutable_post()->set_id(id);
    request.mutable_post()->set_title("new");
    if (user > 0) request.mutable_post()->set_user_id(user);
    post::v1::UpdatePostResponse response;
    return Outcome(Call(posts, "owner", &PostService::Stub::UpdatePost, request, &response));
  };
  EXPECT_EQ(update(own, 0), "passed");
  EXPECT_EQ(update(own, bob), denied);
  EXPECT_EQ(update(other, 0), denied);
  EXPECT_EQ(update(other, ada), denied) << "nobody takes the post of another";
  EXPECT_EQ(update(999'999, 0), denied) << "nobody hears that a post does not exist";

  const auto like = [&](int64_t user, auto method, auto request, auto response) {
    request.set_post_id(other);
    request.set_user_id(user);
    return Outcome(Call(posts, "owner", method, request, &response));
  };
  EXPECT_EQ(like(ada, &PostService::Stub::LikePost, post::v1::LikePostRequest(), post::v1::LikePostResponse()),
            "passed");
  EXPECT_EQ(like(bob, &PostService::Stub::LikePost, post::v1::LikePostRequest(), post::v1::LikePostResponse()), denied);
  EXPECT_EQ(like(bob, &PostService::Stub::UnlikePost, post::v1::UnlikePostRequest(), post::v1::UnlikePostResponse()),
            denied);

  const auto delete_post = [&](int64_t id) {
    post::v1::DeletePostRequest request;
    request.set_id(id);
    post::v1::DeletePostResponse response;
    return Outcome(Call(posts, "owner", &PostService::Stub::DeletePost, request, &response));
  };
  EXPECT_EQ(delete_post(other), denied);
  EXPECT_EQ(delete_post(999'999), denied);
  EXPECT_EQ(delete_post(own), "passed");

  const int users = pair_.user_port();
  const auto update_user = [&](int64_t id) {
    user::v1::UpdateUserRequest request;
    request.mutable_user()->set_id(id);
    request.mutable_user()->set_username("renamed");
    user::v1::UpdateUserResponse response;
    return Outcome(Call(users, "owner", &UserService::Stub::UpdateUser, request, &response));
  };
  EXPECT_EQ(update_user(bob), denied);
  EXPECT_EQ(update_user(999'999), denied);
  EXPECT_EQ(update_user(ada), "passed");
  user::v1::CreateUserRequest create;
  create.set_username("carl");
  user::v1::CreateUserResponse created;
  EXPECT_EQ(Outcome(Call(users, "owner", &UserService::Stub::CreateUser, create, &created)), denied);
  const auto delete_user = [&](int64_t id, bool preview) {
    user::v1::DeleteUserRequest request;
    request.set_id(id);
    request.set_validate_only(preview);
    user::v1::DeleteUserResponse response;
    return Outcome(Call(users, "owner", &UserService::Stub::DeleteUser, request, &response));
  };
  EXPECT_EQ(delete_user(bob, false), denied);
  EXPECT_EQ(delete_user(bob, true), denied);
  EXPECT_EQ(delete_user(ada, false), "passed");
  EXPECT_EQ(pair_.user_db().Number("SELECT COUNT(*) FROM users"), 1);
}

// Calls that share a transaction have callers of their own.
TEST_F(AccessTest, OwnersWhoseCallsAreDoneTogetherAreToldApart) {
  Start();
  const int64_t ada = CreateUser("operator", "ada"), bob = CreateUser("operator", "bob");
  secured_.BindOwner(ada);
  ASSERT_TRUE(WaitFor([&] { return CreatePost("owner", ada).ok(); }));
  std::vector<std::future<std::string>> calls;
  for (int i = 0; i < 40; ++i) {
    const bool right = i % 2 == 0;
    calls.push_back(
        std::async(std::launch::async, [&, right] { return Outcome(CreatePost("owner", right ? ada : bob)); }));
    calls.push_back(std::async(std::launch::async, [&] { return Outcome(CreatePost("operator", bob)); }));
  }
  for (size_t i = 0; i < calls.size(); ++i) {
    EXPECT_EQ(calls[i].get(), i % 4 == 2 ? "PERMISSION_DENIED owner" : "passed") << i;
  }
  EXPECT_EQ(pair_.post_db().Number(absl::StrCat("SELECT COUNT(*) FROM posts WHERE user_id = ", bob)), 40);
}

TEST_F(AccessTest, ARequestIdIsOfItsPrincipal) {
  Start();
  const int64_t first = CreateUser("writer", "ada", kId);
  EXPECT_EQ(CreateUser("writer", "ada", kId), first);
  // For another principal the same id and the same request are a request of its own: the name is taken.
  user::v1::CreateUserRequest request;
  request.set_username("ada");
  request.set_request_id(kId);
  user::v1::CreateUserResponse response;
  EXPECT_THAT(Call(pair_.user_port(), "operator", &UserService::Stub::CreateUser, request, &response),
              GrpcError(grpc::StatusCode::ALREADY_EXISTS, "USERNAME_TAKEN"));
  EXPECT_NE(CreateUser("operator", "bob", kId), first);
  EXPECT_EQ(pair_.user_db().Number("SELECT COUNT(*) FROM requests"), 2);
}

TEST_F(AccessTest, ADeletionSaysWhoAskedForIt) {
  Start();
  const int64_t ada = CreateUser("operator", "ada");
  user::v1::DeleteUserRequest request;
  request.set_id(ada);
  user::v1::DeleteUserResponse response;
  ASSERT_THAT(Call(pair_.user_port(), "deleter", &UserService::Stub::DeleteUser, request, &response), GrpcOk());
  EXPECT_EQ(response.deletion().requested_by(), "token:deleter");
  user::v1::GetUserDeletionRequest get;
  get.set_user_id(ada);
  user::v1::GetUserDeletionResponse got;
  ASSERT_THAT(Call(pair_.user_port(), "reader", &UserService::Stub::GetUserDeletion, get, &got), GrpcOk());
  EXPECT_EQ(got.deletion().requested_by(), "token:deleter");
}

TEST_F(AccessTest, TheRecordHasEachWriteReleaseAndRefusal) {
  Start();
  const int64_t ada = CreateUser("operator", "ada");
  int64_t post = 0;
  ASSERT_THAT(CreatePost("writer", ada, &post), GrpcOk());
  EXPECT_EQ(Outcome(CreatePost("reader", ada)), "PERMISSION_DENIED policy");
  EXPECT_EQ(Try(pair_.post_port(), "/post.v1.PostService/GetPost", {}), "UNAUTHENTICATED no_credentials");
  user::v1::DeleteUserRequest request;
  request.set_id(ada);
  user::v1::DeleteUserResponse response;
  ASSERT_THAT(Call(pair_.user_port(), "deleter", &UserService::Stub::DeleteUser, request, &response), GrpcOk());
  EXPECT_EQ(Try(pair_.post_internal_port(), "/relation.v1.ReferenceService/ReleaseReferenced",
                With(secured_.ca().Issue({{"spiffe://crosskey/stranger"}}))),
            "PERMISSION_DENIED peer");

  using Line = std::vector<std::string>;
  const auto lines = [&](bool users) {
    std::vector<Line> all;
    for (const auto& line : Audit(users)) {
      EXPECT_THAT(line["address"].get<std::string>(), ::testing::StartsWith("127.0.0.1:"));
      EXPECT_EQ(line["service"], users ? "user-service" : "post-service");
      const std::string method = line["method"];
      std::string resources;
      for (const auto& name : line.value("resources", nlohmann::json::array())) {
        absl::StrAppend(&resources, resources.empty() ? "" : " ", name.get<std::string>());
      }
      all.push_back({line.value("principal", ""), method.substr(method.rfind('/') + 1), resources,
                     line.contains("deletion_id") ? absl::StrCat(line["deletion_id"].get<int64_t>()) : "",
                     line["outcome"]});
    }
    return all;
  };
  const std::string user_name = absl::StrCat("users/", ada), post_name = absl::StrCat("posts/", post);
  const std::string deletion = absl::StrCat(response.deletion().deletion_id());
  EXPECT_THAT(lines(true), ElementsAre(Line{"token:operator", "CreateUser", user_name, "", "OK"},
                                       Line{"token:deleter", "DeleteUser", user_name, deletion, "OK"}));
  EXPECT_THAT(lines(false),
              ElementsAre(Line{"token:writer", "CreatePost", post_name + " " + user_name, "", "OK"},
                          Line{"token:reader", "CreatePost", "", "", "PermissionDenied"},
                          Line{"", "GetPost", "", "", "Unauthenticated"},
                          Line{"spiffe://crosskey/user-service", "ReleaseReferenced", user_name, deletion, "OK"},
                          Line{"spiffe://crosskey/stranger", "ReleaseReferenced", "", "", "PermissionDenied"}));
  // Names of users and posts, and tokens, are in none of them.
  for (const bool users : {true, false}) {
    std::ifstream file(AuditPath(users));
    const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    EXPECT_THAT(text, Not(HasSubstr("ada")));
    EXPECT_THAT(text, Not(HasSubstr("title")));
    EXPECT_THAT(text, Not(HasSubstr("0123456789abcdef")));
  }
}

TEST_F(AccessTest, ReflectionIsForOperatorsAndHealthForEverybody) {
  Start();
  const auto reflect = [&](const Credentials& credentials) {
    return Try(pair_.user_port(), "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", credentials);
  };
  EXPECT_EQ(reflect({}), "without details");
  EXPECT_EQ(reflect(Bearer("both")), "without details");
  EXPECT_EQ(reflect(Bearer("operator")), "passed");
  EXPECT_EQ(Try(pair_.user_port(), "/grpc.health.v1.Health/Check", {}), "passed");
}

TEST_F(AccessTest, ABrokenPolicyChangesNothingAndIsReported) {
  Start();
  const auto problem = [&] {
    return MetricOf(pair_.user_app().service().metrics(), "crosskey_credentials_problem", {{"file", "policy"}});
  };
  EXPECT_EQ(problem(), 0);
  secured_.folder().Write("policy.json", "{\"name\": \"tests\", \"allow_rules\": [{\"name\": \"all\"}");
  ASSERT_TRUE(WaitFor([&] { return problem() == 1; }));
  EXPECT_EQ(TryAll(kReads, Bearer("reader")), std::set<std::string>{"passed"});
  EXPECT_EQ(TryAll(kReads, {}), std::set<std::string>{"UNAUTHENTICATED no_credentials"});
  secured_.BindOwner(1);
  EXPECT_TRUE(WaitFor([&] { return problem() == 0; }));
}

TEST_F(AccessTest, ATokenIsReplacedWithoutAFailedCall) {
  Start();
  const std::string before = "Bearer " + secured_.Token("reader");
  const std::string after = "Bearer fedcba9876543210fedcba9876543210";
  std::ifstream file(secured_.TokensPath());
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  secured_.folder().Write(
      "tokens.json", absl::StrCat(text.substr(0, text.find('[') + 1), secured_.TokenEntry("reader", after.substr(7)),
                                  ",", text.substr(text.find('[') + 1)));
  const std::string list = "/user.v1.UserService/ListUsers";
  ASSERT_TRUE(WaitFor([&] { return Try(pair_.user_port(), list, {{}, {after}}) == "passed"; }));
  EXPECT_EQ(Try(pair_.user_port(), list, {{}, {before}}), "passed") << "both are good";
  secured_.folder().Write("tokens.json",
                          absl::StrCat("{\"tokens\": [", secured_.TokenEntry("reader", after.substr(7)), "]}"));
  ASSERT_TRUE(WaitFor([&] { return Try(pair_.user_port(), list, {{}, {before}}) == "UNAUTHENTICATED unknown"; }));
  EXPECT_EQ(Try(pair_.user_port(), list, {{}, {after}}), "passed");
}

TEST_F(AccessTest, TheRateIsOfEachCaller) {
  adjust_ = [](process::Options& options) { options.caller_rate = 3; };
  Start();
  user::v1::ListUsersRequest request;
  user::v1::ListUsersResponse response;
  const auto list = [&](const std::string& token) {
    return Call(pair_.user_port(), token, &UserService::Stub::ListUsers, request, &response);
  };
  ASSERT_TRUE(WaitFor([&] { return list("reader").error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED; }));
  EXPECT_THAT(list("both"), GrpcOk());
}

}  // namespace
}  // namespace crosskey::testing
