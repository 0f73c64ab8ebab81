#include "user-service/rpc/user_rpc.h"

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/rpc/field_errors.h"
#include "common/rpc/page_token.h"
#include "common/status/limits.h"
#include "user-service/rpc/convert.h"

namespace crosskey::users {
namespace {

template <typename Ids>
std::vector<RowId> RowIds(const Ids& ids) {
  std::vector<RowId> rows;
  for (const int64_t id : ids) rows.push_back(RowId{id});
  return rows;
}

absl::Status AnswerBatchGet(Users& users, const Call& call, const user::v1::BatchGetUsersRequest& request,
                            user::v1::BatchGetUsersResponse& response) {
  rpc::FieldErrors errors;
  errors.RequireIds("ids", request.ids(), 1, limits::kBatchIds);
  CROSSKEY_RETURN_IF_ERROR(errors.status());
  CROSSKEY_ASSIGN_OR_RETURN(const auto found, users.BatchGet(call, RowIds(request.ids())));
  std::map<int64_t, const User*> by_id;
  for (const User& user : found) by_id[Value(user.id)] = &user;
  std::set<int64_t> answered;
  for (const int64_t id : request.ids()) {
    if (!answered.insert(id).second) continue;
    const auto user = by_id.find(id);
    if (user == by_id.end()) {
      response.add_not_found_ids(id);
    } else {
      ToWire(*user->second, response.add_users());
    }
  }
  return absl::OkStatus();
}

UserRpc::CreateLine::Method CreateMethod(Users& users) {
  return {"CreateUser",
          idempotency::LineOfWrites("create_user"),
          rpc::Waits::kWrites,
          [](const user::v1::CreateUserRequest& request) -> absl::StatusOr<std::string> {
            CROSSKEY_RETURN_IF_ERROR(CheckCreate(request));
            return request.username();
          },
          [&users](const Call& call, const auto& shares, const auto& record) {
            return users.CreateTogether(call, shares, record);
          },
          [&users](const Call& call, const std::string& username, const idempotency::Record<User>& record) {
            return users.Create(call, username, record);
          },
          [](const User& user, user::v1::CreateUserResponse& response) { ToWire(user, response.mutable_user()); }};
}

}  // namespace

UserRpc::UserRpc(Users& users, relation::Parent& parent, rpc::Calls& calls, idempotency::Writes& writes)
    : users_(users),
      deletions_(parent.deletions()),
      blocked_(parent.blocked()),
      calls_(calls),
      writes_(writes),
      create_(writes, CreateMethod(users)) {}

grpc::ServerUnaryReactor* UserRpc::CreateUser(grpc::CallbackServerContext* context,
                                              const user::v1::CreateUserRequest* request,
                                              user::v1::CreateUserResponse* response) {
  return create_.Take(*context, request, response);
}

grpc::ServerUnaryReactor* UserRpc::GetUser(grpc::CallbackServerContext* context,
                                           const user::v1::GetUserRequest* request,
                                           user::v1::GetUserResponse* response) {
  return calls_.Unary(*context, "GetUser", rpc::Waits::kReads, *request,
                      [this, request, response](const Call& call) -> absl::Status {
                        rpc::FieldErrors errors;
                        errors.RequireId("id", request->id());
                        CROSSKEY_RETURN_IF_ERROR(errors.status());
                        CROSSKEY_ASSIGN_OR_RETURN(const User user, users_.Get(call, RowId{request->id()}));
                        ToWire(user, response->mutable_user());
                        return absl::OkStatus();
                      });
}

grpc::ServerUnaryReactor* UserRpc::BatchGetUsers(grpc::CallbackServerContext* context,
                                                 const user::v1::BatchGetUsersRequest* request,
                                                 user::v1::BatchGetUsersResponse* response) {
  return calls_.Unary(
      *context, "BatchGetUsers", rpc::Waits::kReads, *request,
      [this, request, response](const Call& call) { return AnswerBatchGet(users_, call, *request, *response); });
}

grpc::ServerUnaryReactor* UserRpc::ListUsers(grpc::CallbackServerContext* context,
                                             const user::v1::ListUsersRequest* request,
                                             user::v1::ListUsersResponse* response) {
  return calls_.Unary(
      *context, "ListUsers", rpc::Waits::kReads, *request, [this, request, response](const Call& call) -> absl::Status {
        rpc::FieldErrors errors;
        const int64_t size = rpc::PageSize(request->page_size(), errors);
        CROSSKEY_RETURN_IF_ERROR(errors.status());
        const std::string list = absl::StrCat("ListUsers\n", request->username());
        CROSSKEY_ASSIGN_OR_RETURN(const int64_t after, rpc::DecodePageToken(list, request->page_token()));
        CROSSKEY_ASSIGN_OR_RETURN(const auto users, users_.List(call, request->username(), RowId{after}, size + 1));
        for (const User& user : users) {
          if (response->users_size() == size) {
            response->set_next_page_token(rpc::EncodePageToken(list, response->users(response->users_size() - 1).id()));
            break;
          }
          ToWire(user, response->add_users());
        }
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* UserRpc::UpdateUser(grpc::CallbackServerContext* context,
                                              const user::v1::UpdateUserRequest* request,
                                              user::v1::UpdateUserResponse* response) {
  return writes_.Run(*context, "UpdateUser", rpc::Waits::kMayAsk, *request, *response,
                     [this, request, response](const Call& call, idempotency::Recorder& recorder) -> absl::Status {
                       CROSSKEY_ASSIGN_OR_RETURN(const UserChange change, FromWire(*request));
                       return users_.Update(call, change, recorder.Of<User>([&](const User& user) {
                         ToWire(user, response->mutable_user());
                       }));
                     });
}

grpc::ServerUnaryReactor* UserRpc::DeleteUser(grpc::CallbackServerContext* context,
                                              const user::v1::DeleteUserRequest* request,
                                              user::v1::DeleteUserResponse* response) {
  using Response = user::v1::DeleteUserResponse;
  if (request->validate_only()) {
    return calls_.Unary(
        *context, "DeleteUser", rpc::Waits::kPreviews, *request,
        [this, request, response](const Call& call) { return Delete(call, *request, nullptr, nullptr, *response); });
  }
  // The answer is stored with the intent, before the outcome is known. So a stored answer that still says INTENT is not
  // final: a call that repeats the request_id goes on with that deletion.
  return writes_.RunResumable<Response>(
      *context, "DeleteUser", rpc::Waits::kPeer, *request, *response,
      [](const Response& stored) { return stored.deletion().state() == user::v1::DELETION_STATE_INTENT; },
      [this, request, response](const Call& call, idempotency::Recorder& recorder, const Response* begun) {
        const auto record = recorder.Of<relation::Deletion>(
            [&](const relation::Deletion& deletion) { ToWire(deletion, response->mutable_deletion()); });
        return Delete(call, *request, begun, record, *response);
      });
}

absl::Status UserRpc::Delete(const Call& call, const user::v1::DeleteUserRequest& request,
                             const user::v1::DeleteUserResponse* begun,
                             const idempotency::Record<relation::Deletion>& record,
                             user::v1::DeleteUserResponse& response) {
  CROSSKEY_ASSIGN_OR_RETURN(const relation::DeleteRequest deletion_request, FromWire(request));
  CROSSKEY_RETURN_IF_ERROR(call.MayWriteFor(deletion_request.id));
  std::optional<relation::Deletion> deletion;
  if (begun != nullptr) {
    CROSSKEY_ASSIGN_OR_RETURN(deletion, deletions_.Resume(call, DeletionId{begun->deletion().deletion_id()}));
    // The refusal was answered with an error, and errors are not kept under a request_id. So this call deletes anew.
    if (deletion.has_value() && deletion->state == relation::DeletionState::kRefused) deletion.reset();
  }
  if (!deletion.has_value()) {
    CROSSKEY_ASSIGN_OR_RETURN(deletion, deletions_.Delete(call, deletion_request, record));
  }
  response.Clear();
  if (deletion.has_value()) ToWire(*deletion, response.mutable_deletion());
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* UserRpc::GetUserDeletion(grpc::CallbackServerContext* context,
                                                   const user::v1::GetUserDeletionRequest* request,
                                                   user::v1::GetUserDeletionResponse* response) {
  return calls_.Unary(*context, "GetUserDeletion", rpc::Waits::kReads, *request,
                      [this, request, response](const Call& call) -> absl::Status {
                        rpc::FieldErrors errors;
                        errors.RequireId("user_id", request->user_id());
                        CROSSKEY_RETURN_IF_ERROR(errors.status());
                        CROSSKEY_ASSIGN_OR_RETURN(relation::Deletion deletion,
                                                  deletions_.Latest(call, RowId{request->user_id()}));
                        deletion.blocked_reason = blocked_.Reason(deletion);
                        ToWire(deletion, response->mutable_deletion());
                        return absl::OkStatus();
                      });
}

grpc::ServerUnaryReactor* InternalUserRpc::BatchGetUsers(grpc::CallbackServerContext* context,
                                                         const user::v1::BatchGetUsersRequest* request,
                                                         user::v1::BatchGetUsersResponse* response) {
  return calls_.Unary(
      *context, "BatchGetUsers", rpc::Waits::kInternal, *request,
      [this, request, response](const Call& call) { return AnswerBatchGet(users_, call, *request, *response); });
}

}  // namespace crosskey::users
