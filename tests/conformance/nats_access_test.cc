// Who is let in to NATS: TLS, passwords, and the permissions that are shipped.
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/events/grpc_transport.h"
#include "common/events/nats_transport.h"
#include "tests/conformance/feed_reader.h"
#include "tests/support/certificates.h"

namespace crosskey::testing {
namespace {

using ::testing::HasSubstr;

// With TLS, a client certificate and a password.
class NatsAccess : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!NatsServers::AreInstalled()) GTEST_SKIP() << "there is no nats-server";
  }
  // The status of opening a session, with these options.
  absl::Status Open(const NatsServers& servers, const process::EventsOptions& options) {
    process::EventsOptions all = options;
    all.url.servers = servers.addresses();
    all.url.prefix = "crosskey";
    return events::NatsLink::Open(all, "test", "looks").status();
  }

  Folder folder_;
};

TEST_F(NatsAccess, ThePasswordIsReadFromTheFileAtEachConnection) {
  NatsServers servers(1, "authorization { user: post, password: right }\n");
  process::EventsOptions options;
  options.url.user = "post";
  options.password_file = folder_.Write("password", "wrong\n");
  EXPECT_THAT(Open(servers, options).ToString(), HasSubstr("Authorization Violation"));
  folder_.Write("password", "right\n");
  EXPECT_THAT(Open(servers, options), IsOk());
  options.password_file = folder_.Path("none");
  EXPECT_THAT(Open(servers, options).ToString(), HasSubstr("the password file"));
}

// The users and permissions that are shipped are enough for what the services do, and for no more.
TEST_F(NatsAccess, TheShippedPermissionsAreEnough) {
  std::ifstream file(std::string(CROSSKEY_SOURCE_DIR) + "/deploy/kubernetes/components/nats/nats.conf");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t begin = text.find("\naccounts {");
  ASSERT_NE(begin, std::string::npos);
  text = absl::StrReplaceAll(
      text.substr(begin),
      {{"$USER_SERVICE_PASSWORD", "one"}, {"$POST_SERVICE_PASSWORD", "two"}, {"$OPERATOR_PASSWORD", "three"}});
  NatsServers servers(1, text);
  process::EventsOptions user = servers.options();
  user.url.user = "user-service";
  user.password_file = folder_.Write("one", "one");
  process::EventsOptions post = servers.options();
  post.url.user = "post-service";
  post.password_file = folder_.Write("two", "two");

  Publisher at("sqlite");
  at.Publish(std::vector<std::string>(700, "t.A"));
  Publishing publishing(at, post);
  EXPECT_TRUE(WaitFor([&] {
    const auto link = events::NatsLink::Open(user, "user-service", "looks");
    const auto end = link.ok() ? (*link)->EndOf("post-service") : link.status();
    return end.ok() && end->stream_sequence == 700;
  })) << publishing.last_end();
  at.server->Shutdown();  // so all comes from the stream
  events::GrpcTransport peer{rpc::PeerChannel(at.channel)};
  events::NatsTransport transport(user, "user-service", "post-service", peer, at.log.storage.metrics);
  Reading reading(transport, {"post-service", at.log.feed.Info(TestCall())->feed_id, Sequence{}});
  EXPECT_TRUE(reading.Await(700)) << reading.last_end();
  at.Publish({"t.A"});
  EXPECT_TRUE(reading.Await(701)) << reading.last_end();
  reading.Stop();

  // What flows to one of them, the other one cannot see.
  const auto ear = events::NatsLink::Open(user, "post-service", "listens");
  ASSERT_THAT(ear, IsOk());
  EXPECT_FALSE((*ear)->EndOf("post-service").ok());
  EXPECT_TRUE(WaitFor([&] {
    const auto own = events::NatsLink::Open(user, "user-service", "listens");
    return own.ok() && (*own)->EndOf("post-service").ok();
  })) << "it is not the inbox that is in the way";
  // Neither makes or writes the other one's stream.
  const auto link = events::NatsLink::Open(user, "user-service", "looks");
  ASSERT_THAT(link, IsOk());
  const events::StreamedEvent forged{
      {Sequence{702}, "id", "post-service", "t.A", "", absl::UnixEpoch(), "", ""}, reading.position().feed_id, "an id"};
  EXPECT_FALSE((*link)->Append("post-service", 701, {forged}).ok());
  const auto again = events::NatsLink::Open(post, "post-service", "looks");
  ASSERT_THAT(again, IsOk());
  EXPECT_FALSE((*again)->EnsureStream("user-service", absl::Hours(1)).ok());
  const auto end = (*again)->EndOf("post-service");
  ASSERT_THAT(end, IsOk());
  EXPECT_EQ(end->stream_sequence, 701U);
}

TEST_F(NatsAccess, TheServerAndTheClientShowCertificates) {
  const Authority authority("right");
  const Authority other("another");
  const auto write = [&](const std::string& name, const KeyAndCertificate& pair) {
    folder_.Write(name + ".key", pair.key);
    return folder_.Write(name + ".pem", pair.certificate);
  };
  folder_.Write("ca", authority.certificate());
  folder_.Write("other_ca", other.certificate());
  Leaf leaf;
  leaf.dns = {"localhost"};
  write("server", authority.Issue(leaf));
  write("client", authority.Issue(leaf));
  write("stranger", other.Issue(leaf));
  NatsServers servers(
      1, absl::StrCat("tls { cert_file: \"", folder_.Path("server.pem"), "\", key_file: \"", folder_.Path("server.key"),
                      "\", ca_file: \"", folder_.Path("ca"), "\", verify: true }\n"));
  process::EventsOptions options;
  options.url.tls = true;
  options.ca = folder_.Path("ca");
  options.cert = folder_.Path("client.pem");
  options.key = folder_.Path("client.key");
  const auto open_at = [&](const std::string& host) {
    process::EventsOptions all = options;
    all.url.prefix = "crosskey";
    all.url.servers = {host + servers.addresses().at(0).substr(std::string("127.0.0.1").size())};
    return events::NatsLink::Open(all, "test", "looks").status();
  };
  EXPECT_THAT(open_at("localhost"), IsOk());
  // The certificate is that of "localhost".
  EXPECT_FALSE(open_at("127.0.0.1").ok());
  options.ca = folder_.Path("other_ca");
  EXPECT_FALSE(open_at("localhost").ok());
  options.ca = folder_.Path("ca");
  options.cert = folder_.Path("stranger.pem");
  options.key = folder_.Path("stranger.key");
  EXPECT_FALSE(open_at("localhost").ok());
  options.cert = options.key = "";
  EXPECT_FALSE(open_at("localhost").ok());
  options.url.tls = false;
  EXPECT_FALSE(open_at("localhost").ok());
}

}  // namespace
}  // namespace crosskey::testing
