#include "tests/support/nats_servers.h"

#include <csignal>
#include <cstdlib>
#include <functional>
#include <utility>

#include <gtest/gtest.h>
#include <nats/nats.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/events/nats_event.h"
#include "common/events/nats_link.h"
#include "tests/support/free_port.h"
#include "tests/support/http_get.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

std::string Program() {
  const char* given = std::getenv("CROSSKEY_NATS_SERVER");
  if (given != nullptr && *given != '\0') return given;
  for (const char* path : {"/usr/sbin/nats-server", "/usr/bin/nats-server", "/usr/local/bin/nats-server"}) {
    if (::access(path, X_OK) == 0) return path;
  }
  return "";
}

}  // namespace

// A connection for one question. Its destruction closes it.
class NatsServers::Session {
 public:
  explicit Session(const NatsServers& servers) {
    const std::vector<std::string> addresses = servers.addresses();
    std::vector<const char*> urls;
    for (const std::string& address : addresses) urls.push_back(address.c_str());
    natsOptions* options = nullptr;
    natsOptions_Create(&options);
    natsOptions_SetServers(options, urls.data(), static_cast<int>(urls.size()));
    natsOptions_SetTimeout(options, 1000);
    natsOptions_SetAllowReconnect(options, false);
    if (natsConnection_Connect(&connection_, options) == NATS_OK) {
      natsConnection_JetStream(&context_, connection_, nullptr);
    }
    natsOptions_Destroy(options);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() {
    jsCtx_Destroy(context_);
    natsConnection_Destroy(connection_);
  }

  // Asks until it is answered.
  static void Ask(const NatsServers& servers, const std::function<bool(jsCtx*)>& question) {
    EXPECT_TRUE(WaitFor([&] {
      const Session session(servers);
      return session.context_ != nullptr && question(session.context_);
    }));
  }

 private:
  natsConnection* connection_ = nullptr;
  jsCtx* context_ = nullptr;
};

bool NatsServers::AreInstalled() { return !Program().empty(); }

NatsServers::NatsServers(int count, const std::string& more) {
  for (int i = 0; i < count; ++i) servers_.push_back({FreePort(), FreePort(), FreePort(), nullptr});
  for (int i = 0; i < count; ++i) {
    std::string routes;
    for (const Server& server : servers_)
      absl::StrAppend(&routes, routes.empty() ? "" : ", ", "\"nats://127.0.0.1:", server.routes, "\"");
    const Server& own = servers_[static_cast<size_t>(i)];
    const std::string cluster = count == 1 ? ""
                                           : absl::StrCat("cluster { name: test, listen: \"127.0.0.1:", own.routes,
                                                          "\", routes: [", routes, "] }\n");
    folder_.Write(
        absl::StrCat(i, ".conf"),
        absl::StrCat("server_name: n", i, "\nlisten: \"127.0.0.1:", own.port, "\"\nhttp: \"127.0.0.1:", own.monitor,
                     "\"\njetstream { store_dir: \"", folder_.Path(absl::StrCat("store", i)), "\" }\n", cluster, more));
  }
  for (int i = 0; i < count; ++i) Start(i);
  AwaitReady();
}

NatsServers::~NatsServers() = default;

std::vector<std::string> NatsServers::addresses() const {
  std::vector<std::string> addresses;
  for (const Server& server : servers_) addresses.push_back(Loopback(server.port));
  return addresses;
}

std::string NatsServers::url(const std::string& prefix) const {
  return absl::StrCat("nats://", absl::StrJoin(addresses(), ","), "/", prefix);
}

process::EventsOptions NatsServers::options(const std::string& prefix) const {
  process::EventsOptions options;
  options.url = process::ParseEventsUrl(url(prefix)).value();
  options.replicas = static_cast<int>(servers_.size());
  return options;
}

void NatsServers::Kill(int server) { servers_[static_cast<size_t>(server)].process.reset(); }

void NatsServers::Start(int server) {
  servers_[static_cast<size_t>(server)].process = std::make_unique<ChildProcess>(
      Program(), std::vector<std::string>{"-c", folder_.Path(absl::StrCat(server, ".conf"))});
}

void NatsServers::Hang(int server) const { servers_[static_cast<size_t>(server)].process->Signal(SIGSTOP); }
void NatsServers::GoOn(int server) const { servers_[static_cast<size_t>(server)].process->Signal(SIGCONT); }

void NatsServers::AwaitReady() const {
  for (const Server& server : servers_) {
    if (server.process == nullptr) continue;
    EXPECT_TRUE(WaitFor([&] {
      const bool healthy = absl::StrContains(HttpGet(server.monitor, "/healthz"), " 200 ");
      // Only a cluster that has agreed on a leader takes streams.
      const bool led = servers_.size() == 1 || absl::StrContains(HttpGet(server.monitor, "/jsz"), "\"leader\": \"n");
      return healthy && led;
    })) << server.process->Output();
  }
}

int NatsServers::LeaderOf(const std::string& stream) const {
  int leader = -1;
  Session::Ask(*this, [&](jsCtx* context) {
    jsStreamInfo* info = nullptr;
    if (js_GetStreamInfo(&info, context, stream.c_str(), nullptr, nullptr) != NATS_OK) return false;
    const bool known = info->Cluster != nullptr && info->Cluster->Leader != nullptr &&
                       absl::SimpleAtoi(info->Cluster->Leader + 1, &leader);
    jsStreamInfo_Destroy(info);
    return known;
  });
  return leader;
}

void NatsServers::DeleteStream(const std::string& stream) const {
  Session::Ask(*this, [&](jsCtx* context) {
    jsErrCode code = {};
    const natsStatus status = js_DeleteStream(context, stream.c_str(), nullptr, &code);
    return status == NATS_OK || code == JSStreamNotFoundErr;
  });
}

void NatsServers::Purge(const std::string& stream) const {
  Session::Ask(*this,
               [&](jsCtx* context) { return js_PurgeStream(context, stream.c_str(), nullptr, nullptr) == NATS_OK; });
}

void NatsServers::CreateStream(const std::string& service, absl::Duration duplicates, int replicas) const {
  const std::string name = events::StreamOf("crosskey", service);
  const std::string subjects = events::SubjectsOf("crosskey", service);
  Session::Ask(*this, [&](jsCtx* context) {
    const char* list[] = {subjects.c_str()};
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    config.Name = name.c_str();
    config.Subjects = list;
    config.SubjectsLen = 1;
    config.Storage = js_FileStorage;
    config.Duplicates = absl::ToInt64Nanoseconds(duplicates);
    config.Replicas = replicas;
    return js_AddStream(nullptr, context, &config, nullptr, nullptr) == NATS_OK;
  });
}

void NatsServers::DeleteMessage(const std::string& stream, uint64_t place) const {
  Session::Ask(
      *this, [&](jsCtx* context) { return js_DeleteMsg(context, stream.c_str(), place, nullptr, nullptr) == NATS_OK; });
}

void NatsServers::PublishForeign(const std::string& subject, int count) const {
  int left = count;
  Session::Ask(*this, [&](jsCtx* context) {
    while (left > 0 && js_Publish(nullptr, context, subject.c_str(), "x", 1, nullptr, nullptr) == NATS_OK) --left;
    return left == 0;
  });
}

std::vector<Streamed> NatsServers::All(const std::string& stream) const {
  std::vector<Streamed> all;
  const std::string service = stream.substr(stream.find('_') + 1);
  EXPECT_TRUE(WaitFor([&] {
    all.clear();
    const auto link = events::NatsLink::Open(options(), "test", "looks");
    if (!link.ok()) return false;
    const auto end = (*link)->EndOf(service);
    if (!end.ok()) return false;
    if (!end->last.has_value()) return true;
    const auto reader = (*link)->Read(service, 1);
    if (!reader.ok()) return false;
    while (all.empty() || all.back().place < end->stream_sequence) {
      const auto message = (*reader)->Next(absl::Seconds(2));
      if (!message.ok() || !message->has_value()) return false;
      Streamed& one = all.emplace_back();
      one.place = (*message)->stream_sequence;
      const auto& event = (*message)->event;
      if (event.ok())
        one = {one.place, Value(event->event.sequence), event->event.id, event->event.type, event->feed_id};
    }
    return true;
  }));
  return all;
}

int NatsServers::ConsumersOf(const std::string& stream) const {
  int consumers = -1;
  Session::Ask(*this, [&](jsCtx* context) {
    jsStreamInfo* info = nullptr;
    if (js_GetStreamInfo(&info, context, stream.c_str(), nullptr, nullptr) != NATS_OK) return false;
    consumers = static_cast<int>(info->State.Consumers);
    jsStreamInfo_Destroy(info);
    return true;
  });
  return consumers;
}

}  // namespace crosskey::testing
