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

// The accounts that are shipped, with passwords, and less room.
std::string ShippedAccounts() {
  std::ifstream file(std::string(CROSSKEY_SOURCE_DIR) + "/deploy/kubernetes/components/nats/nats.conf");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t begin = text.find("\naccounts {");
  EXPECT_NE(begin, std::string::npos);
  return absl::StrReplaceAll(text.substr(begin), {{"$USER_SERVICE_PASSWORD", "one"},
                                                  {"$POST_SERVICE_PASSWORD", "two"},
                                                  {"$OPERATOR_PASSWORD", "three"},
                                                  {"$READER_PASSWORD", "four"},
                                                  {"$READERS_OPERATOR_PASSWORD", "five"},
                                                  {"max_file: 6GB", "max_file: 100MB"}});
}

// Makes the copy of a stream in the account of readers, as deploy/README.md says.
natsStatus CopyStream(const NatsServers& servers, const std::string& service) {
  natsOptions* options = nullptr;
  natsConnection* connection = nullptr;
  jsCtx* context = nullptr;
  const std::string name = "crosskey_" + service;
  const std::string deliver = "crosskey.readers." + service;
  jsExternalStream external = {};
  external.APIPrefix = "$JS.CROSSKEY.API";
  external.DeliverPrefix = deliver.c_str();
  jsStreamSource source;
  jsStreamSource_Init(&source);
  source.Name = name.c_str();
  source.External = &external;
  jsStreamSource* sources[] = {&source};
  jsStreamConfig config;
  jsStreamConfig_Init(&config);
  config.Name = name.c_str();
  config.Storage = js_FileStorage;
  config.MaxBytes = 10'000'000;
  config.Sources = sources;
  config.SourcesLen = 1;
  natsStatus status = natsOptions_Create(&options);
  const auto then = [&status](auto&& next) {
    if (status == NATS_OK) status = next();
  };
  const std::string url = "nats://" + servers.addresses().at(0);
  then([&] { return natsOptions_SetURL(options, url.c_str()); });
  then([&] { return natsOptions_SetUserInfo(options, "readers-operator", "five"); });
  then([&] { return natsOptions_SetCustomInboxPrefix(options, "_INBOX.crosskey.readers-operator"); });
  then([&] { return natsConnection_Connect(&connection, options); });
  then([&] { return natsConnection_JetStream(&context, connection, nullptr); });
  then([&] { return js_AddStream(nullptr, context, &config, nullptr, nullptr); });
  jsCtx_Destroy(context);
  natsConnection_Destroy(connection);
  natsOptions_Destroy(options);
  return status;
}

// The users and permissions that are shipped are enough for what the services do, and for no more.
TEST_F(NatsAccess, TheShippedPermissionsAreEnough) {
  NatsServers servers(1, ShippedAccounts());
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

// Others read copies, in an account of their own, under the same names.
TEST_F(NatsAccess, ReadersHaveCopiesAndNothingElse) {
  NatsServers servers(1, ShippedAccounts());
  process::EventsOptions post = servers.options();
  post.url.user = "post-service";
  post.password_file = folder_.Write("two", "two");
  process::EventsOptions reader = servers.options();
  reader.url.user = "reader";
  reader.password_file = folder_.Write("four", "four");
  Publisher at("sqlite");
  at.Publish(std::vector<std::string>(700, "t.A"));
  Publishing publishing(at, post);
  const auto events_for = [&](const process::EventsOptions& options, const std::string& name) {
    const auto link = events::NatsLink::Open(options, name, "looks");
    const auto end = link.ok() ? (*link)->EndOf("post-service") : link.status();
    return end.ok() && end->last.has_value() ? Value(end->last->event.sequence) : -1;
  };
  EXPECT_TRUE(WaitFor([&] { return events_for(post, "post-service") == 700; })) << publishing.last_end();
  EXPECT_EQ(events_for(reader, "events"), -1) << "there is no copy yet";
  EXPECT_EQ(CopyStream(servers, "post-service"), NATS_OK);
  EXPECT_TRUE(WaitFor([&] { return events_for(reader, "events") == 700; }));
  at.Publish({"t.A"});
  EXPECT_TRUE(WaitFor([&] { return events_for(reader, "events") == 701; }));
  EXPECT_EQ(events_for(reader, "post-service"), -1) << "the answers to others are not for readers";

  const auto link = events::NatsLink::Open(reader, "events", "reads");
  ASSERT_THAT(link, IsOk());
  const auto from = (*link)->Read("post-service", 1);
  ASSERT_THAT(from, IsOk());
  const auto first = (*from)->Next(absl::Seconds(20));
  ASSERT_THAT(first, IsOk());
  ASSERT_TRUE(first->has_value() && (*first)->event.ok());
  EXPECT_EQ((*first)->event->event.sequence, Sequence{1});
  const events::StreamedEvent forged{
      {Sequence{702}, "id", "post-service", "t.A", "", absl::UnixEpoch(), "", ""}, "a feed", "an id"};
  EXPECT_FALSE((*link)->Append("post-service", 701, {forged}).ok());
  EXPECT_EQ(events_for(post, "post-service"), 701);
  EXPECT_EQ(events_for(reader, "events"), 701);
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
