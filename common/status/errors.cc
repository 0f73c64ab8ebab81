#include "common/status/errors.h"

#include <algorithm>
#include <map>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"

namespace crosskey::errors {
namespace {

constexpr size_t kMaxFieldViolations = 20;
constexpr size_t kMaxMissingReferences = 10;
constexpr size_t kMaxText = 120;
constexpr size_t kMaxMessage = 500;
constexpr size_t kMaxFieldViolationBytes = 2800;  // of all together, so that the details stay under 4 KB

const std::string kUrlPrefix = "type.googleapis.com/";

template <typename Message>
void Attach(absl::Status& status, const Message& message) {
  status.SetPayload(kUrlPrefix + message.GetDescriptor()->full_name(), absl::Cord(message.SerializeAsString()));
}

std::string Cut(const std::string& text) { return Shortened(text, kMaxText); }

void AttachRetry(absl::Status& status, absl::Duration delay) {
  google::rpc::RetryInfo info;
  const int64_t nanos = absl::ToInt64Nanoseconds(delay);
  info.mutable_retry_delay()->set_seconds(nanos / 1'000'000'000);
  info.mutable_retry_delay()->set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
  Attach(status, info);
}

std::string ShortName(const std::string& type) { return type.substr(type.rfind('.') + 1); }

// The reasons by their names on the wire.
const std::map<std::string, Reason>& Reasons() {
  static const auto* const reasons = new std::map<std::string, Reason>{
      {"", Reason::kNone},
      {"INVALID_FIELD", Reason::kInvalidField},
      {"INVALID_PAGE_TOKEN", Reason::kInvalidPageToken},
      {"REQUEST_ID_REUSED", Reason::kRequestIdReused},
      {"DELETION_NOT_FOUND", Reason::kDeletionNotFound},
      {"FOREIGN_KEY_VIOLATION", Reason::kForeignKeyViolation},
      {"PARENT_DELETING", Reason::kParentDeleting},
      {"RESTRICTED", Reason::kRestricted},
      {"ETAG_MISMATCH", Reason::kEtagMismatch},
      {"CONFLICT", Reason::kConflict},
      {"PEER_UNAVAILABLE", Reason::kPeerUnavailable},
      {"PEER_MISMATCH", Reason::kPeerMismatch},
      {"HISTORY_MISMATCH", Reason::kHistoryMismatch},
      {"DATABASE_UNAVAILABLE", Reason::kDatabaseUnavailable},
      {"DATABASE_NOT_WRITABLE", Reason::kDatabaseNotWritable},
      {"REQUEST_TOO_LARGE", Reason::kRequestTooLarge},
      {"OVERLOADED", Reason::kOverloaded},
      {"DRAINING", Reason::kDraining},
      {"UNAUTHENTICATED", Reason::kUnauthenticated},
      {"PERMISSION_DENIED", Reason::kPermissionDenied},
      {"FEED_MISMATCH", Reason::kFeedMismatch},
      {"EVENTS_TRIMMED", Reason::kEventsTrimmed},
      {"INTERNAL_ERROR", Reason::kInternalError},
  };
  return *reasons;
}

}  // namespace

absl::Status Make(absl::StatusCode code, const std::string& reason, const std::string& message,
                  const std::map<std::string, std::string>& metadata) {
  absl::Status status(code, Shortened(message, kMaxMessage));
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("crosskey");
  for (const auto& [key, value] : metadata) (*info.mutable_metadata())[key] = Cut(value);
  Attach(status, info);
  return status;
}

void AttachResource(absl::Status& status, const std::string& type, const std::string& name,
                    const std::string& description) {
  google::rpc::ResourceInfo info;
  info.set_resource_type(type);
  info.set_resource_name(Cut(name));
  info.set_description(description);
  Attach(status, info);
}

std::string Shortened(const std::string& text, size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  size_t end = max_bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

std::string ResourceName(const std::string& type, RowId id) {
  return absl::StrCat(absl::AsciiStrToLower(ShortName(type)), "s/", Value(id));
}

absl::Status InvalidFields(const std::vector<FieldViolation>& violations) {
  google::rpc::BadRequest details;
  for (size_t i = 0; i < std::min(violations.size(), kMaxFieldViolations); ++i) {
    google::rpc::BadRequest::FieldViolation violation;
    violation.set_field(Cut(violations[i].field));
    violation.set_description(Cut(violations[i].description));
    violation.set_reason("INVALID_FIELD");
    if (details.ByteSizeLong() + violation.ByteSizeLong() > kMaxFieldViolationBytes) break;
    *details.add_field_violations() = std::move(violation);
  }
  const std::string field = violations.empty() ? "" : Cut(violations.front().field);
  const std::string description = violations.empty() ? "" : Cut(violations.front().description);
  std::string message = absl::StrCat(field, ": ", description);
  std::map<std::string, std::string> metadata = {{"field", field}, {"description", description}};
  if (violations.size() > 1) {
    absl::StrAppend(&message, " (and ", violations.size() - 1, " more)");
    metadata["more"] = absl::StrCat(violations.size() - 1);
  }
  absl::Status status = Make(absl::StatusCode::kInvalidArgument, "INVALID_FIELD", message, metadata);
  Attach(status, details);
  return status;
}

absl::Status InvalidField(const std::string& field, const std::string& description) {
  return InvalidFields({{field, description}});
}

absl::Status InvalidPageToken() {
  return Make(absl::StatusCode::kInvalidArgument, "INVALID_PAGE_TOKEN",
              "page_token: not a token of this method with these arguments", {{"field", "page_token"}});
}

absl::Status RequestIdReused(const std::string& request_id) {
  return Make(absl::StatusCode::kInvalidArgument, "REQUEST_ID_REUSED",
              absl::StrCat("request_id: ", Cut(request_id), " was used for another request"),
              {{"field", "request_id"}, {"request_id", request_id}});
}

absl::Status NotFound(const std::string& type, RowId id) {
  const std::string name = ResourceName(type, id);
  absl::Status status = Make(absl::StatusCode::kNotFound, absl::AsciiStrToUpper(ShortName(type)) + "_NOT_FOUND",
                             name + " does not exist", {{"resource", name}});
  AttachResource(status, type, name, "does not exist");
  return status;
}

absl::Status DeletionNotFound(const std::string& type, RowId id) {
  const std::string name = ResourceName(type, id);
  absl::Status status = Make(absl::StatusCode::kNotFound, "DELETION_NOT_FOUND",
                             "no deletion of " + name + " is recorded", {{"resource", name}});
  AttachResource(status, type + "Deletion", name, "no deletion is recorded");
  return status;
}

absl::Status Taken(const std::string& type, const std::string& field, const std::string& value) {
  absl::Status status =
      Make(absl::StatusCode::kAlreadyExists, absl::AsciiStrToUpper(field) + "_TAKEN",
           absl::StrCat("the ", field, " \"", Cut(value), "\" is taken"), {{"field", field}, {"value", value}});
  AttachResource(status, type, value, absl::StrCat("another resource has this ", field));
  return status;
}

absl::Status ForeignKeyViolation(const std::vector<MissingReference>& missing) {
  google::rpc::PreconditionFailure details;
  for (size_t i = 0; i < std::min(missing.size(), kMaxMissingReferences); ++i) {
    auto* violation = details.add_violations();
    violation->set_type("FOREIGN_KEY");
    violation->set_subject(missing[i].relationship);
    violation->set_description(ResourceName(missing[i].type, missing[i].id) + " does not exist");
  }
  const MissingReference first = missing.empty() ? MissingReference{} : missing.front();
  const std::string name = ResourceName(first.type, first.id);
  std::map<std::string, std::string> metadata = {{"relationship", first.relationship}, {"resource", name}};
  std::string message = absl::StrCat(first.relationship, " refers to ", name, ", which does not exist");
  if (missing.size() > 1) {
    absl::StrAppend(&message, " (and ", missing.size() - 1, " more)");
    metadata["more"] = absl::StrCat(missing.size() - 1);
  }
  absl::Status status = Make(absl::StatusCode::kFailedPrecondition, "FOREIGN_KEY_VIOLATION", message, metadata);
  Attach(status, details);
  AttachResource(status, first.type, name, "does not exist");
  return status;
}

absl::Status ParentDeleting(const std::string& type, RowId id) {
  const std::string name = ResourceName(type, id);
  absl::Status status = Make(absl::StatusCode::kAborted, "PARENT_DELETING",
                             "a deletion of " + name + " is not decided yet", {{"resource", name}});
  AttachRetry(status, absl::Seconds(1));
  return status;
}

absl::Status Restricted(const std::string& type, RowId id, const std::vector<Referencing>& referencing) {
  google::rpc::PreconditionFailure details;
  const std::string name = ResourceName(type, id);
  for (const Referencing& r : referencing) {
    auto* violation = details.add_violations();
    violation->set_type("RESTRICT");
    violation->set_subject(r.relationship);
    violation->set_description(absl::StrCat(r.is_minimum ? "more than " : "", r.rows, " rows refer to ", name));
  }
  const Referencing first = referencing.empty() ? Referencing{} : referencing.front();
  absl::Status status = Make(absl::StatusCode::kFailedPrecondition, "RESTRICTED",
                             absl::StrCat(name, " is referred to by ", first.is_minimum ? "more than " : "", first.rows,
                                          " rows (", first.relationship, ")"),
                             {{"resource", name},
                              {"relationship", first.relationship},
                              {"count", absl::StrCat(first.rows)},
                              {"count_is_minimum", first.is_minimum ? "true" : "false"}});
  Attach(status, details);
  return status;
}

absl::Status EtagMismatch(const std::string& type, RowId id) {
  const std::string name = ResourceName(type, id);
  return Make(absl::StatusCode::kAborted, "ETAG_MISMATCH", name + " has changed: its etag is another one",
              {{"resource", name}});
}

absl::Status Conflict() {
  absl::Status status =
      Make(absl::StatusCode::kAborted, "CONFLICT", "the change conflicts with others that are under way");
  AttachRetry(status, absl::Milliseconds(100));
  return status;
}

absl::Status PeerUnavailable(const std::string& peer) {
  absl::Status status =
      Make(absl::StatusCode::kUnavailable, "PEER_UNAVAILABLE", peer + " does not answer", {{"peer", peer}});
  AttachRetry(status, absl::Seconds(1));
  return status;
}

absl::Status PeerMismatch(const std::string& what, const std::string& expected, const std::string& actual) {
  return Make(absl::StatusCode::kFailedPrecondition, "PEER_MISMATCH",
              absl::StrCat(what, " is ", actual, " instead of ", expected),
              {{"what", what}, {"expected", expected}, {"actual", actual}});
}

absl::Status HistoryMismatch(const std::string& service, const std::string& why) {
  return Make(absl::StatusCode::kFailedPrecondition, "HISTORY_MISMATCH",
              absl::StrCat("the history of ", service, " does not fit: ", why), {{"service", service}, {"why", why}});
}

absl::Status DatabaseUnavailable() {
  absl::Status status = Make(absl::StatusCode::kUnavailable, "DATABASE_UNAVAILABLE", "the database is not reachable");
  AttachRetry(status, absl::Seconds(1));
  return status;
}

absl::Status DatabaseNotWritable(const std::string& why) {
  absl::Status status = Make(absl::StatusCode::kUnavailable, "DATABASE_NOT_WRITABLE",
                             "the database takes no changes: " + why, {{"why", why}});
  AttachRetry(status, absl::Seconds(5));
  return status;
}

absl::Status RequestTooLarge(size_t bytes, size_t limit) {
  return Make(absl::StatusCode::kResourceExhausted, "REQUEST_TOO_LARGE",
              absl::StrCat("the request has ", bytes, " bytes, and this method takes ", limit),
              {{"bytes", absl::StrCat(bytes)}, {"limit", absl::StrCat(limit)}});
}

absl::Status Overloaded(const std::string& what) {
  absl::Status status =
      Make(absl::StatusCode::kResourceExhausted, "OVERLOADED", "too many " + what + " in use", {{"what", what}});
  AttachRetry(status, absl::Milliseconds(200));
  return status;
}

absl::Status Draining() {
  absl::Status status = Make(absl::StatusCode::kUnavailable, "DRAINING", "the server is about to stop");
  AttachRetry(status, absl::Seconds(1));
  return status;
}

absl::Status Unauthenticated(const std::string& why) {
  return Make(absl::StatusCode::kUnauthenticated, "UNAUTHENTICATED", "the caller has not proved who it is: " + why,
              {{"why", why}});
}

absl::Status PermissionDenied(const std::string& why) {
  return Make(absl::StatusCode::kPermissionDenied, "PERMISSION_DENIED", "the caller may not do this: " + why,
              {{"why", why}});
}

absl::Status FeedMismatch(const std::string& feed_id) {
  return Make(absl::StatusCode::kFailedPrecondition, "FEED_MISMATCH",
              "this feed's history is " + feed_id + ", another one than the subscriber's", {{"feed_id", feed_id}});
}

absl::Status EventsTrimmed(Sequence floor) {
  return Make(absl::StatusCode::kOutOfRange, "EVENTS_TRIMMED",
              absl::StrCat("the events up to ", Value(floor), " are no longer kept"),
              {{"floor", absl::StrCat(Value(floor))}});
}

absl::Status Internal(const std::string& incident) {
  absl::Status status = Make(absl::StatusCode::kInternal, "INTERNAL_ERROR", "unexpected error, logged as " + incident,
                             {{"incident", incident}});
  google::rpc::RequestInfo info;
  info.set_request_id(incident);
  Attach(status, info);
  return status;
}

std::string ReasonName(const absl::Status& status) {
  const auto payload = status.GetPayload(kUrlPrefix + google::rpc::ErrorInfo::descriptor()->full_name());
  google::rpc::ErrorInfo info;
  if (!payload.has_value() || !info.ParseFromString(std::string(*payload))) return "";
  return info.reason();
}

Reason ReasonOf(const absl::Status& status) {
  const std::string name = ReasonName(status);
  const auto known = Reasons().find(name);
  if (known != Reasons().end()) return known->second;
  if (absl::EndsWith(name, "_NOT_FOUND")) return Reason::kNotFound;
  return absl::EndsWith(name, "_TAKEN") ? Reason::kTaken : Reason::kOther;
}

}  // namespace crosskey::errors
