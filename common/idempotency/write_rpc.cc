#include "common/idempotency/write_rpc.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <openssl/sha.h>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/db/sql_error.h"
#include "common/idempotency/left_out.h"
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

std::string Sha256(const std::string& text) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

// The UUID under which the answer to this request_id of this principal is stored: one made of a hash (RFC 9562, version
// 8), so that nobody can guess the id of another's, or meet it by chance.
std::string ScopedTo(const std::string& principal, const std::string& request_id) {
  std::string hash = absl::BytesToHexString(Sha256(absl::StrCat(principal, "\n", request_id))).substr(0, 32);
  hash[12] = '8';
  hash[16] = '8';
  const absl::string_view digits = hash;
  return absl::StrCat(digits.substr(0, 8), "-", digits.substr(8, 4), "-", digits.substr(12, 4), "-",
                      digits.substr(16, 4), "-", digits.substr(20));
}

// A hash of the method and of every field except the request_id.
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
  return absl::BytesToHexString(Sha256(bytes));
}

}  // namespace

struct Writes::Attempt {
  const std::optional<Request> key;
  const Message& request;
  Message& response;
  const Body& body;
  const std::function<bool()>& is_provisional;
  std::optional<int64_t> replaceable;  // time of the stored answer, if it has expired or is provisional
  bool resumes = false;                // the stored answer is provisional, and is in the response
};

grpc::ServerUnaryReactor* Writes::Run(grpc::CallbackServerContext& context, const std::string& method, rpc::Waits waits,
                                      const Message& request, Message& response,
                                      std::function<absl::Status(const Call&, Recorder&)> body) {
  return calls_.Take(context, method, request,
                     [&](rpc::PendingCall* call) { Add(call, method, waits, request, response, std::move(body)); });
}

void Writes::Add(rpc::PendingCall* call, const std::string& method, rpc::Waits waits, const Message& request,
                 Message& response, std::function<absl::Status(const Call&, Recorder&)> body) {
  call->Changes({&request, &response});
  calls_.lines().Add(
      waits, call,
      Once(
          method, request, response,
          [body = std::move(body)](const Call& same, Recorder& recorder, bool) { return body(same, recorder); },
          [] { return false; }));
}

std::optional<Request> Writes::KeyOf(const Call& call, const std::string& method, const Message& request) const {
  std::string said = RequestIdOf(request);
  if (!rpc::IsUuid(said) || said == rpc::kZeroUuid) return std::nullopt;
  said = absl::AsciiStrToLower(said);
  const std::string principal = call.caller == nullptr ? "" : call.caller->principal;
  std::string id = said;
  if (!principal.empty()) id = ScopedTo(principal, said);
  return Request{std::move(id), Fingerprint(absl::StrCat(service_, "/", method), request), principal, std::move(said)};
}

// What answers a call, with one effect for each request_id.
rpc::CallLines::Body Writes::Once(const std::string& method, const Message& request, Message& response, Body body,
                                  std::function<bool()> is_provisional) {
  return [this, method, &request, &response, body = std::move(body),
          is_provisional = std::move(is_provisional)](const Call& call) -> absl::Status {
    Attempt attempt{KeyOf(call, method, request), request, response, body, is_provisional, {}, false};
    if (attempt.key.has_value()) return RunOnce(call, attempt);
    // The body refuses an id that is neither empty nor a UUID, so that one error names all fields that are wrong.
    Recorder recorder(answers_, attempt.key, std::nullopt, request, response);
    return body(call, recorder, false);
  };
}

absl::Status Writes::RunOnce(const Call& call, Attempt& attempt) {
  for (int round = 0; round < limits::kConsistencyRounds; ++round) {
    CROSSKEY_ASSIGN_OR_RETURN(const bool known, Recall(call, attempt));
    if (known) return absl::OkStatus();
    if (!attempt.resumes) CROSSKEY_RETURN_IF_ERROR(answers_.CheckSpace(*attempt.key));
    bool stored = false;
    const absl::Status status = Perform(call, attempt, stored);
    if (status.ok()) return status;
    // A concurrent call with the same id has been faster: its answer counts.
    if (db::SqlErrorOf(status) == db::SqlError::kDuplicate) continue;
    // The error may come from what a concurrent call with the same id has changed. If that call has stored an answer
    // since, its answer counts; if the answer is provisional, the next round goes on from it.
    const std::optional<int64_t> seen = attempt.replaceable;
    const absl::StatusOr<bool> since = Recall(call, attempt);
    if (since.ok() && *since) return absl::OkStatus();
    const bool begun_by_another = attempt.replaceable.has_value() && attempt.replaceable != seen;
    if (since.ok() && begun_by_another && !stored) continue;
    return errors::Is(since.status(), errors::Reason::kRequestIdReused) ? since.status() : status;
  }
  return errors::Conflict();
}

// True if the final answer is stored already; it is in the response then.
absl::StatusOr<bool> Writes::Recall(const Call& call, Attempt& attempt) {
  CROSSKEY_ASSIGN_OR_RETURN(const std::optional<StoredAnswer> answer, answers_.Find(call, attempt.key->id));
  attempt.replaceable.reset();
  attempt.resumes = false;
  if (!answer.has_value()) return false;
  if (answer->expired) {
    attempt.replaceable = answer->time;
    return false;
  }
  if (answer->fingerprint != attempt.key->fingerprint) return errors::RequestIdReused(attempt.key->request_id);
  if (!FillIn(answer->bytes, attempt.request, attempt.response)) {
    return absl::InternalError("a stored answer is undecodable");
  }
  if (!attempt.is_provisional()) return true;
  attempt.replaceable = answer->time;
  attempt.resumes = true;
  return false;
}

// Sets `stored` to whether the effect has been committed with an answer. It can be true although the call failed later.
absl::Status Writes::Perform(const Call& call, Attempt& attempt, bool& stored) {
  Recorder recorder(answers_, attempt.key, attempt.replaceable, attempt.request, attempt.response);
  const absl::Status status = attempt.body(call, recorder, attempt.resumes);
  stored = recorder.stored();
  CROSSKEY_RETURN_IF_ERROR(status);
  // A method that had nothing to do has run no transaction, so nothing is stored. One that went on after its
  // transaction may have a newer answer than the stored one.
  if (!recorder.IsOutdated()) return absl::OkStatus();
  return database_.Transact(call, "requests.settle", [&](db::Tx& tx) { return recorder.Store(tx); });
}

}  // namespace crosskey::idempotency
