#include "common/idempotency/write_rpc.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <openssl/sha.h>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/db/sql_error.h"
#include "common/fault/fault.h"
#include "common/rpc/field_errors.h"
#include "common/status/errors.h"
#include "common/status/limits.h"

namespace crosskey::idempotency {
namespace {

using google::protobuf::Message;

std::string RequestIdOf(const Message& request) {
  const auto* field = request.GetDescriptor()->FindFieldByName("request_id");
  return field == nullptr ? "" : request.GetReflection()->GetString(request, field);
}

// Everything that is asked, except under which id.
std::string Fingerprint(const std::string& method, const Message& request) {
  const std::unique_ptr<Message> asked(request.New());
  asked->CopyFrom(request);
  asked->GetReflection()->ClearField(asked.get(), asked->GetDescriptor()->FindFieldByName("request_id"));
  std::string bytes = absl::StrCat(method, "\n");
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream out(&stream);
    out.SetSerializationDeterministic(true);
    asked->SerializeToCodedStream(&out);
  }
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  return absl::BytesToHexString(std::string(reinterpret_cast<const char*>(digest), sizeof(digest)));
}

}  // namespace

struct Writes::Attempt {
  struct Recorded {
    std::string bytes;
    int64_t time;
  };

  const Request key;
  Message& response;
  const std::function<absl::Status(const Call&)>& body;
  const std::function<bool()>& is_provisional;
  std::optional<int64_t> replaceable;  // the time of the stored answer that does not stand: expired or provisional
  std::optional<Recorded> recorded;    // by this attempt
};

grpc::Status Writes::Run(grpc::ServerContext& context, const std::string& method, const Message& request,
                         Message& response, const std::function<absl::Status(const Call&)>& body,
                         const std::function<bool()>& is_provisional) {
  const std::string id = RequestIdOf(request);
  // One that is no UUID is refused by the body, together with what else is wrong.
  if (!rpc::IsUuid(id)) return calls_.Unary(context, method, body);
  return calls_.Unary(context, method, [&](const Call& call) -> absl::Status {
    const std::string fingerprint = Fingerprint(absl::StrCat(service_, "/", method), request);
    Attempt attempt{{absl::AsciiStrToLower(id), fingerprint}, response, body, is_provisional, {}, {}};
    return RunOnce(call, attempt);
  });
}

absl::Status Writes::RunOnce(const Call& call, Attempt& attempt) {
  for (int round = 0; round < limits::kConsistencyRounds; ++round) {
    CROSSKEY_ASSIGN_OR_RETURN(const bool known, Recall(call, attempt));
    if (known) return absl::OkStatus();
    const absl::Status status = Perform(call, attempt);
    if (status.ok()) return status;
    // A concurrent call with the same id has been faster: its answer counts.
    if (db::SqlErrorOf(status) == db::SqlError::kDuplicate) continue;
    // What this one ran into may be what that one has changed.
    const std::optional<int64_t> seen = attempt.replaceable;
    const absl::StatusOr<bool> since = Recall(call, attempt);
    if (since.ok() && *since) return absl::OkStatus();
    const bool begun_by_another = attempt.replaceable.has_value() && attempt.replaceable != seen;
    if (since.ok() && begun_by_another && !attempt.recorded.has_value()) continue;
    return errors::ReasonOf(since.status()) == "REQUEST_ID_REUSED" ? since.status() : status;
  }
  return errors::Conflict();
}

// Whether the answer is known already; it is in the response then.
absl::StatusOr<bool> Writes::Recall(const Call& call, Attempt& attempt) {
  CROSSKEY_ASSIGN_OR_RETURN(const std::optional<Answer> answer, answers_.Find(call, attempt.key.id));
  attempt.replaceable.reset();
  if (!answer.has_value()) return false;
  if (answer->expired) {
    attempt.replaceable = answer->time;
    return false;
  }
  if (answer->fingerprint != attempt.key.fingerprint) return errors::RequestIdReused(attempt.key.id);
  if (!attempt.response.ParseFromString(answer->bytes)) return absl::InternalError("a stored answer is undecodable");
  if (attempt.is_provisional == nullptr || !attempt.is_provisional()) return true;
  attempt.replaceable = answer->time;
  return false;
}

absl::Status Writes::Perform(const Call& call, Attempt& attempt) {
  const auto store = [&](db::Tx& tx) { return Store(tx, attempt); };
  Call recording = call;
  if (!fault::Without(fault::Guard::kAnswerWithin)) recording.record = store;
  recording.not_recorded = [&] { attempt.recorded.reset(); };
  attempt.recorded.reset();
  CROSSKEY_RETURN_IF_ERROR(attempt.body(recording));
  if (attempt.recorded.has_value()) {
    if (attempt.recorded->bytes == attempt.response.SerializeAsString()) return absl::OkStatus();
    attempt.replaceable = attempt.recorded->time;
  }
  return database_.Transact(call, "requests.settle", store);
}

absl::Status Writes::Store(db::Tx& tx, Attempt& attempt) {
  std::string bytes = attempt.response.SerializeAsString();
  CROSSKEY_ASSIGN_OR_RETURN(const int64_t time, answers_.Record(tx, attempt.key, bytes, attempt.replaceable));
  attempt.recorded = Attempt::Recorded{std::move(bytes), time};
  return absl::OkStatus();
}

}  // namespace crosskey::idempotency
