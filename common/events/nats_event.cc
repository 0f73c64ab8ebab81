#include "common/events/nats_event.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/status/macros.h"

namespace crosskey::events {
namespace {

constexpr char kTime[] = "%Y-%m-%dT%H:%M:%E6SZ";
constexpr char kSchema[] = "https://type.googleapis.com/";

// The headers of one message that is being read. The first one that is missing makes it no event.
class Headers {
 public:
  explicit Headers(natsMsg& message) : message_(message) {}

  std::string Optional(const char* key) const {
    const char* value = nullptr;
    return natsMsgHeader_Get(&message_, key, &value) == NATS_OK && value != nullptr ? value : "";
  }
  std::string Get(const char* key) {
    std::string value = Optional(key);
    if (value.empty() && missing_.empty()) missing_ = key;
    return value;
  }
  const std::string& missing() const { return missing_; }

 private:
  natsMsg& message_;
  std::string missing_;
};

}  // namespace

std::string StreamOf(const std::string& prefix, const std::string& service) {
  return absl::StrCat(prefix, "_", service);
}

std::string SubjectsOf(const std::string& prefix, const std::string& service) {
  return absl::StrCat(prefix, ".", service, ".>");
}

absl::StatusOr<NatsMsg> ToNats(const std::string& prefix, const StreamedEvent& streamed) {
  const Event& event = streamed.event;
  const std::string subject = absl::StrCat(prefix, ".", event.source, ".", event.type);
  natsMsg* made = nullptr;
  natsStatus status =
      natsMsg_Create(&made, subject.c_str(), nullptr, event.payload.data(), static_cast<int>(event.payload.size()));
  if (status != NATS_OK) return absl::ResourceExhaustedError(natsStatus_GetText(status));
  NatsMsg message(made);
  const auto set = [&](const char* key, const std::string& value) {
    if (status == NATS_OK && !value.empty()) status = natsMsgHeader_Set(made, key, value.c_str());
  };
  set("ce-specversion", "1.0");
  set("ce-id", event.id);
  set("ce-source", event.source);
  set("ce-type", event.type);
  set("ce-subject", event.subject);
  set("ce-time", absl::FormatTime(kTime, event.time, absl::UTCTimeZone()));
  set("ce-dataschema", absl::StrCat(kSchema, event.type));
  set("content-type", "application/protobuf");
  set("ce-traceparent", event.traceparent);
  // As wide as the largest one, so that their order as texts is that of the events: the extension "sequence" wants it.
  set("ce-sequence", absl::StrFormat("%019d", Value(event.sequence)));
  set("ce-feedid", streamed.feed_id);
  set("ce-instanceid", streamed.instance_id);
  if (status != NATS_OK) return absl::ResourceExhaustedError(natsStatus_GetText(status));
  return message;
}

absl::StatusOr<StreamedEvent> FromNats(natsMsg& message) {
  Headers headers(message);
  StreamedEvent streamed;
  Event& event = streamed.event;
  event.id = headers.Get("ce-id");
  event.source = headers.Get("ce-source");
  event.type = headers.Get("ce-type");
  event.subject = headers.Optional("ce-subject");
  event.traceparent = headers.Optional("ce-traceparent");
  streamed.feed_id = headers.Get("ce-feedid");
  streamed.instance_id = headers.Get("ce-instanceid");
  const std::string time = headers.Get("ce-time");
  const std::string sequence = headers.Get("ce-sequence");
  if (!headers.missing().empty()) {
    return absl::InvalidArgumentError(absl::StrCat("the header ", headers.missing(), " is missing"));
  }
  std::string why;
  if (!absl::ParseTime(absl::RFC3339_full, time, &event.time, &why)) {
    return absl::InvalidArgumentError(absl::StrCat("ce-time: ", why));
  }
  int64_t number = 0;
  if (!absl::SimpleAtoi(sequence, &number) || number < 1) return absl::InvalidArgumentError("ce-sequence is no place");
  event.sequence = Sequence{number};
  const int length = natsMsg_GetDataLength(&message);
  if (length > 0) event.payload.assign(natsMsg_GetData(&message), static_cast<size_t>(length));
  return streamed;
}

}  // namespace crosskey::events
