#include "common/events/nats_link.h"

#include <algorithm>
#include <atomic>
#include <map>

#include "absl/strings/str_cat.h"
#include "common/db/password_file.h"
#include "common/status/limits.h"
#include "common/status/macros.h"

namespace crosskey::events {
namespace {

constexpr int64_t kConnectMs = 1000;  // for each server
constexpr int64_t kAnswerMs = 2000;   // for each question
constexpr int64_t kStoredMs = 5000;   // for a batch
constexpr int64_t kPingMs = 2000;     // a connection that answers no two of them is dead
constexpr int64_t kWriteMs = 2000;    // until a server that reads nothing is given up
constexpr int64_t kHeartbeatNs = 1'000'000'000;
constexpr uint64_t kLookBack = 100;  // messages, until the last event has to come
constexpr int64_t kDuplicatesNs = 120'000'000'000;
constexpr char kExpectedLast[] = "Nats-Expected-Last-Sequence";
constexpr size_t kServers = 3;  // are tried at most, so that whoever waits does not wait long

// `code`: what JetStream says, 0 if it was not asked or has not answered.
absl::Status Error(const char* what, natsStatus status, jsErrCode code = {}, const char* more = nullptr) {
  natsStatus last = NATS_OK;
  const char* of_thread = nats_GetLastError(&last);
  if (more == nullptr && last == status) more = of_thread;
  const std::string text =
      absl::StrCat("NATS: ", what, ": ", natsStatus_GetText(status), more != nullptr ? absl::StrCat(": ", more) : "");
  if (code == JSStreamNotFoundErr) return absl::NotFoundError(text);
  if (code == JSStreamWrongLastSequenceErr) return absl::AbortedError(text);
  return absl::UnavailableError(text);
}

void Ignore(natsConnection*, natsSubscription*, natsStatus, void*) {}
void IgnoreClosed(natsConnection*, void*) {}

}  // namespace

struct NatsLink::Answers::All {
  std::mutex mutex;
  uintptr_t last = 0;
  std::map<uintptr_t, Answers*> answers;
};

NatsLink::Answers::All& NatsLink::Answers::Living() {
  static All* const all = new All;  // threads of the library may outlive what is static
  return *all;
}

NatsReader::~NatsReader() {
  // Unsubscribe also lets the server forget the consumer, if it can be told.
  natsSubscription_Unsubscribe(subscription_);
  natsSubscription_Destroy(subscription_);
}

absl::StatusOr<std::optional<NatsReader::Message>> NatsReader::Next(absl::Duration wait) {
  natsMsg* next = nullptr;
  const natsStatus status = natsSubscription_NextMsg(&next, subscription_, absl::ToInt64Milliseconds(wait));
  if (status == NATS_TIMEOUT) return std::nullopt;
  if (status != NATS_OK) return Error("the stream cannot be read", status);
  const NatsMsg message(next);
  jsMsgMetaData* meta = nullptr;
  const natsStatus known = natsMsg_GetMetaData(&meta, next);
  if (known != NATS_OK) return Error("a message has no place in the stream", known);
  const uint64_t place = meta->Sequence.Stream;
  jsMsgMetaData_Destroy(meta);
  return Message{place, FromNats(*message)};
}

NatsLink::Answers::Answers() {
  std::lock_guard lock(Living().mutex);
  number_ = ++Living().last;
  Living().answers[number_] = this;
}

NatsLink::Answers::~Answers() {
  std::lock_guard lock(Living().mutex);
  Living().answers.erase(number_);
}

void NatsLink::Answers::Arrived(jsCtx*, natsMsg* message, jsPubAck* stored, jsPubAckErr* error, void* number) {
  {
    std::lock_guard lock(Living().mutex);
    const auto found = Living().answers.find(reinterpret_cast<uintptr_t>(number));
    if (found != Living().answers.end()) found->second->Take(stored, error);
  }
  natsMsg_Destroy(message);
}

void NatsLink::Answers::Take(const jsPubAck* stored, const jsPubAckErr* error) {
  absl::Status problem;
  if (error != nullptr) problem = Error("an event was not stored", error->Err, error->ErrCode, error->ErrText);
  // It is somewhere in the stream, but not where it should be, or was removed from it. Until the server has forgotten
  // it, it cannot be stored.
  if (stored != nullptr && stored->Duplicate) problem = absl::UnavailableError("NATS: an event had been stored before");
  std::lock_guard lock(mutex_);
  if (first_error_.ok()) first_error_ = problem;
}

absl::Status NatsLink::Answers::first_error() const {
  std::lock_guard lock(mutex_);
  return first_error_;
}

absl::StatusOr<std::unique_ptr<NatsLink>> NatsLink::Open(const process::EventsOptions& options,
                                                         const std::string& service, const std::string& does) {
  std::unique_ptr<NatsLink> link(new NatsLink(options));
  CROSSKEY_RETURN_IF_ERROR(link->Connect(service, does));
  return link;
}

absl::Status NatsLink::Prepare(natsOptions* to, const std::string& service, const std::string& does) const {
  std::vector<std::string> urls;
  std::vector<const char*> servers;
  for (const std::string& server : options_.url.servers) {
    urls.push_back(absl::StrCat(options_.url.tls ? "tls://" : "nats://", server));
  }
  // The next time begin with the next ones.
  static std::atomic<size_t> first = 0;
  std::rotate(urls.begin(), urls.begin() + static_cast<std::ptrdiff_t>(first % urls.size()), urls.end());
  if (urls.size() > kServers) urls.resize(kServers);
  first += urls.size();
  for (const std::string& url : urls) servers.push_back(url.c_str());
  natsStatus status = natsOptions_SetServers(to, servers.data(), static_cast<int>(servers.size()));
  const auto then = [&status](natsStatus next) {
    if (status == NATS_OK) status = next;
  };
  then(natsOptions_SetName(to, absl::StrCat(service, " ", does).c_str()));
  then(natsOptions_SetCustomInboxPrefix(to, absl::StrCat("_INBOX.", options_.url.prefix, ".", service).c_str()));
  then(natsOptions_SetTimeout(to, kConnectMs));
  then(natsOptions_SetAllowReconnect(to, false));
  then(natsOptions_SetPingInterval(to, kPingMs));
  then(natsOptions_SetMaxPingsOut(to, 2));
  then(natsOptions_SetWriteDeadline(to, kWriteMs));
  then(natsOptions_SetErrorHandler(to, Ignore, nullptr));  // the default one prints
  then(natsOptions_SetClosedCB(to, IgnoreClosed, nullptr));
  if (options_.url.tls) {
    then(natsOptions_SetSecure(to, true));
    if (!options_.ca.empty()) then(natsOptions_LoadCATrustedCertificates(to, options_.ca.c_str()));
    if (!options_.cert.empty()) {
      then(natsOptions_LoadCertificatesChain(to, options_.cert.c_str(), options_.key.c_str()));
    }
  }
  if (!options_.credentials.empty()) {
    then(natsOptions_SetUserCredentialsFromFiles(to, options_.credentials.c_str(), nullptr));
  }
  if (!options_.url.user.empty()) {
    std::string password;
    if (!options_.password_file.empty()) {
      CROSSKEY_ASSIGN_OR_RETURN(password, db::ReadPasswordFile(options_.password_file));
    }
    then(natsOptions_SetUserInfo(to, options_.url.user.c_str(), password.c_str()));
  }
  return status == NATS_OK ? absl::OkStatus() : Error("the options are wrong", status);
}

absl::Status NatsLink::Connect(const std::string& service, const std::string& does) {
  natsOptions* made = nullptr;
  natsStatus status = natsOptions_Create(&made);
  if (status != NATS_OK) return Error("no options", status);
  const std::unique_ptr<natsOptions, void (*)(natsOptions*)> options(made, natsOptions_Destroy);
  CROSSKEY_RETURN_IF_ERROR(Prepare(made, service, does));
  status = natsConnection_Connect(&connection_, made);
  if (status != NATS_OK) return Error("no connection", status);
  jsOptions settings;
  jsOptions_Init(&settings);
  settings.Wait = kAnswerMs;
  settings.PublishAsync.MaxPending = 2 * limits::kEventBatch;
  settings.PublishAsync.AckHandler = Answers::Arrived;
  settings.PublishAsync.AckHandlerClosure = answers_.number();
  status = natsConnection_JetStream(&stream_context_, connection_, &settings);
  return status == NATS_OK ? absl::OkStatus() : Error("no JetStream", status);
}

NatsLink::~NatsLink() {
  // In this order: the context's threads use the connection, and the answers of messages on their way use the context.
  if (connection_ != nullptr) natsConnection_Close(connection_);
  if (stream_context_ != nullptr) jsCtx_Destroy(stream_context_);
  if (connection_ != nullptr) natsConnection_Destroy(connection_);
}

bool NatsLink::is_open() const { return natsConnection_Status(connection_) == NATS_CONN_STATUS_CONNECTED; }

absl::Status NatsLink::EnsureStream(const std::string& service, absl::Duration retention) {
  const std::string name = StreamOf(options_.url.prefix, service);
  const std::string subjects = SubjectsOf(options_.url.prefix, service);
  jsErrCode code = {};
  jsStreamInfo* info = nullptr;
  natsStatus status = js_GetStreamInfo(&info, stream_context_, name.c_str(), nullptr, &code);
  jsStreamInfo_Destroy(info);
  if (status == NATS_OK) return absl::OkStatus();
  if (code != JSStreamNotFoundErr) return Error("the stream cannot be asked for", status, code);
  const char* list[] = {subjects.c_str()};
  jsStreamConfig config;
  jsStreamConfig_Init(&config);
  config.Name = name.c_str();
  config.Description = "events of a Crosskey service";
  config.Subjects = list;
  config.SubjectsLen = 1;
  config.Storage = js_FileStorage;
  config.Discard = js_DiscardOld;
  config.MaxAge = std::max<int64_t>(absl::ToInt64Nanoseconds(retention), kDuplicatesNs);
  config.Duplicates = kDuplicatesNs;
  if (options_.space > 0) config.MaxBytes = int64_t{options_.space} << 20;
  config.Replicas = options_.replicas;
  status = js_AddStream(nullptr, stream_context_, &config, nullptr, &code);
  if (status == NATS_OK || code == JSStreamNameExistErr) return absl::OkStatus();
  return Error("the stream cannot be created", status, code);
}

absl::StatusOr<NatsLink::End> NatsLink::EndOf(const std::string& service) {
  const std::string name = StreamOf(options_.url.prefix, service);
  jsErrCode code = {};
  jsStreamInfo* info = nullptr;
  natsStatus status = js_GetStreamInfo(&info, stream_context_, name.c_str(), nullptr, &code);
  if (status != NATS_OK) return Error("the stream cannot be asked for", status, code);
  has_one_copy_ = info->Config != nullptr && info->Config->Replicas == 1;
  End end;
  end.stream_sequence = info->State.LastSeq;
  const uint64_t first = info->State.Msgs == 0 ? end.stream_sequence + 1 : info->State.FirstSeq;
  jsStreamInfo_Destroy(info);
  for (uint64_t place = end.stream_sequence; place >= std::max<uint64_t>(first, 1); --place) {
    if (end.stream_sequence - place >= kLookBack) {
      return absl::FailedPreconditionError(
          absl::StrCat("NATS: the last ", kLookBack, " messages of ", name, " are no events"));
    }
    natsMsg* found = nullptr;
    status = js_GetMsg(&found, stream_context_, name.c_str(), place, nullptr, &code);
    if (code == JSNoMessageFoundErr) continue;  // it was deleted
    if (status != NATS_OK) return Error("a message cannot be read", status, code);
    const NatsMsg message(found);
    absl::StatusOr<StreamedEvent> event = FromNats(*message);
    if (!event.ok()) continue;
    end.last = *std::move(event);
    break;
  }
  return end;
}

absl::Status NatsLink::Append(const std::string& service, uint64_t after, const std::vector<StreamedEvent>& events) {
  const std::string name = StreamOf(options_.url.prefix, service);
  uint64_t last = after;
  std::string last_id;
  for (const StreamedEvent& event : events) {
    CROSSKEY_ASSIGN_OR_RETURN(NatsMsg message, ToNats(options_.url.prefix, event));
    const std::string id = absl::StrCat(event.feed_id, ":", Value(event.event.sequence));
    jsPubOptions options;
    jsPubOptions_Init(&options);
    options.MsgId = id.c_str();
    options.ExpectStream = name.c_str();
    options.ExpectLastSeq = last;  // 0: nothing is expected
    // A message of somebody else may take the place of one of these, which is refused then, and the next ones with it.
    // Only within these: a server that was restarted may not know the id of the message before.
    if (has_one_copy_ && !last_id.empty()) options.ExpectLastMsgId = last_id.c_str();
    if (last == 0 && natsMsgHeader_Set(message.get(), kExpectedLast, "0") != NATS_OK) {
      return absl::ResourceExhaustedError("NATS: no memory for a header");
    }
    natsMsg* sent = message.release();
    const natsStatus status = js_PublishMsgAsync(stream_context_, &sent, &options);
    message.reset(sent);  // null if the library has taken it
    if (status != NATS_OK) return Error("an event cannot be sent", status);
    ++last;
    last_id = id;
  }
  jsPubOptions options;
  jsPubOptions_Init(&options);
  options.MaxWait = kStoredMs;
  const natsStatus status = js_PublishAsyncComplete(stream_context_, &options);
  CROSSKEY_RETURN_IF_ERROR(answers_.first_error());
  return status == NATS_OK ? absl::OkStatus() : Error("no answer whether events are stored", status);
}

absl::StatusOr<std::unique_ptr<NatsReader>> NatsLink::Read(const std::string& service, uint64_t stream_sequence) {
  const std::string name = StreamOf(options_.url.prefix, service);
  const std::string subjects = SubjectsOf(options_.url.prefix, service);
  jsSubOptions options;
  jsSubOptions_Init(&options);
  options.Stream = name.c_str();
  options.Ordered = true;
  options.Config.DeliverPolicy = js_DeliverByStartSequence;
  options.Config.OptStartSeq = stream_sequence;
  options.Config.Heartbeat = kHeartbeatNs;
  natsSubscription* subscription = nullptr;
  jsErrCode code = {};
  const natsStatus status =
      js_SubscribeSync(&subscription, stream_context_, subjects.c_str(), nullptr, &options, &code);
  if (status != NATS_OK) return Error("the stream cannot be read", status, code);
  return std::make_unique<NatsReader>(subscription);
}

}  // namespace crosskey::events
