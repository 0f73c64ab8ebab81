// Every error that a client can get from a handler, except those that only one service has. The table of errors in
// proto/README.md lists them all; tests/docs compares it with the code.
//
// Each function gives a status with one google.rpc.ErrorInfo (domain "crosskey", the reason, and every variable of the
// message as metadata) and the further details that the table names. The details travel as payloads of absl::Status,
// keyed by their Any type URL; common/rpc puts them on the wire. Their size stays under 4 KB: texts that came from a
// client are cut, lists are capped. A status without an ErrorInfo that reaches the wire becomes INTERNAL_ERROR, unless
// it is CANCELLED or DEADLINE_EXCEEDED.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/status/ids.h"

namespace crosskey::errors {

// Code decides by these values. On the wire a reason is its name in capitals: INVALID_FIELD. kNotFound and kTaken stand
// for all reasons that end with _NOT_FOUND and _TAKEN, except DELETION_NOT_FOUND.
enum class Reason {
  kNone,  // no ErrorInfo
  kInvalidField,
  kInvalidPageToken,
  kRequestIdReused,
  kNotFound,  // {TYPE}_NOT_FOUND
  kDeletionNotFound,
  kTaken,  // {FIELD}_TAKEN
  kForeignKeyViolation,
  kParentDeleting,
  kRestricted,
  kEtagMismatch,
  kConflict,
  kPeerUnavailable,
  kPeerMismatch,
  kHistoryMismatch,
  kDatabaseUnavailable,
  kDatabaseNotWritable,
  kRequestTooLarge,
  kOverloaded,
  kDraining,
  kUnauthenticated,
  kPermissionDenied,
  kFeedMismatch,
  kEventsTrimmed,
  kInternalError,
  kOther,  // one that only one service has
};

Reason ReasonOf(const absl::Status& status);
inline bool Is(const absl::Status& status, Reason reason) { return ReasonOf(status) == reason; }

// The reason as it is on the wire, for logs and tests; empty for kNone.
std::string ReasonName(const absl::Status& status);

// Makes a status with an ErrorInfo, for the errors that only one service has. Cuts the message and the metadata if they
// are long.
absl::Status Make(absl::StatusCode code, const std::string& reason, const std::string& message,
                  const std::map<std::string, std::string>& metadata = {});
// Adds a google.rpc.ResourceInfo.
void AttachResource(absl::Status& status, const std::string& type, const std::string& name,
                    const std::string& description);

// Wrong fields of a request. At most the first 20 are sent, fewer if they are long.
struct FieldViolation {
  std::string field;  // path from the request message on, for example "requests[3].title"
  std::string description;
};
absl::Status InvalidFields(const std::vector<FieldViolation>& violations);
absl::Status InvalidField(const std::string& field, const std::string& description);

absl::Status InvalidPageToken();
// The request_id has been used for another request.
absl::Status RequestIdReused(const std::string& request_id);

// `type` is the full name of a message, "user.v1.User"; the reason is USER_NOT_FOUND, the resource "users/{id}".
absl::Status NotFound(const std::string& type, RowId id);
// The row exists or has existed, but no deletion of it is recorded.
absl::Status DeletionNotFound(const std::string& type, RowId id);
// `field` of some other resource of the type has the value already. The reason is {FIELD}_TAKEN.
absl::Status Taken(const std::string& type, const std::string& field, const std::string& value);

// A reference to something that does not exist (any more). At most the first 10 are sent.
struct MissingReference {
  std::string relationship;  // "post.v1.Post.user_id"
  std::string type;          // "user.v1.User"
  RowId id;
};
absl::Status ForeignKeyViolation(const std::vector<MissingReference>& missing);
// A change of, or a reference to, a row whose deletion is undecided.
absl::Status ParentDeleting(const std::string& type, RowId id);

// The rows of a RESTRICT relationship that keep the row from being deleted.
struct Referencing {
  std::string relationship;
  int64_t rows;
  bool is_minimum;  // there are more than `rows`
};
absl::Status Restricted(const std::string& type, RowId id, const std::vector<Referencing>& referencing);

absl::Status EtagMismatch(const std::string& type, RowId id);
// The change lost against other transactions every time that it was tried.
absl::Status Conflict();
absl::Status PeerUnavailable(const std::string& peer);
// `what` ("the caller", "the callee", "the peer's address") is `actual` instead of `expected`, both "SERVICE/ID".
absl::Status PeerMismatch(const std::string& what, const std::string& expected, const std::string& actual);
// The history of `service` is not the one that another service, or this one, has seen: `why`.
absl::Status HistoryMismatch(const std::string& service, const std::string& why);
absl::Status DatabaseUnavailable();
// The database takes no changes: `why` is "full" or "read_only". Nothing of the call is stored.
absl::Status DatabaseNotWritable(const std::string& why);
// The request has more bytes than its method takes.
absl::Status RequestTooLarge(size_t bytes, size_t limit);
// `what` names what is used up: "calls", "database sessions", "database writers", "feed subscribers".
absl::Status Overloaded(const std::string& what);
absl::Status Draining();
// Who calls has not said who it is, or has not proved it: `why` is "no_credentials", "malformed", "unknown", "expired",
// "not_yet_valid", "wrong_issuer", "wrong_audience", "wrong_signature" or "ambiguous" (a certificate with several
// names).
absl::Status Unauthenticated(const std::string& why);
// The caller may not do this, whether or not what it asks for exists. `why` is "policy" (no rule allows the method),
// "owner" (it may write in the name of its own user only) or "peer" (the method is for the other service).
absl::Status PermissionDenied(const std::string& why);
// The subscriber knows another history of the feed than `feed_id`, which is the one of this service.
absl::Status FeedMismatch(const std::string& feed_id);
// The subscriber asks for events that are no longer kept: those up to and including `floor` have been removed.
absl::Status EventsTrimmed(Sequence floor);
// `incident` is an id under which the log tells what happened.
absl::Status Internal(const std::string& incident);

// A text for an error: as it is or, if it is longer than `max_bytes`, its first `max_bytes` bytes (less where that
// would split a UTF-8 sequence) and "...".
std::string Shortened(const std::string& text, size_t max_bytes);

// "user.v1.User", 7 -> "users/7": the name of a resource in details, events and logs.
std::string ResourceName(const std::string& type, RowId id);

}  // namespace crosskey::errors
