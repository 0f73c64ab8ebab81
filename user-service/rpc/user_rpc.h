// Serves user.v1.UserService. Each method checks and converts the request, calls the domain, and converts the result.
#pragma once

#include <memory>

#include "common/idempotency/write_line_rpc.h"
#include "common/relation/parent/parent.h"
#include "common/rpc/calls.h"
#include "user-service/domain/users.h"
#include "user/v1/user_service.grpc.pb.h"

namespace crosskey::users {

// What the public listener serves: all methods.
class UserRpc final : public user::v1::UserService::CallbackService {
 public:
  using CreateLine =
      idempotency::WriteLine<user::v1::CreateUserRequest, user::v1::CreateUserResponse, std::string, User>;

  UserRpc(Users& users, relation::Parent& parent, rpc::Calls& calls, idempotency::Writes& writes);

  grpc::ServerUnaryReactor* CreateUser(grpc::CallbackServerContext* context, const user::v1::CreateUserRequest* request,
                                       user::v1::CreateUserResponse* response) override;
  grpc::ServerUnaryReactor* GetUser(grpc::CallbackServerContext* context, const user::v1::GetUserRequest* request,
                                    user::v1::GetUserResponse* response) override;
  grpc::ServerUnaryReactor* BatchGetUsers(grpc::CallbackServerContext* context,
                                          const user::v1::BatchGetUsersRequest* request,
                                          user::v1::BatchGetUsersResponse* response) override;
  grpc::ServerUnaryReactor* ListUsers(grpc::CallbackServerContext* context, const user::v1::ListUsersRequest* request,
                                      user::v1::ListUsersResponse* response) override;
  grpc::ServerUnaryReactor* UpdateUser(grpc::CallbackServerContext* context, const user::v1::UpdateUserRequest* request,
                                       user::v1::UpdateUserResponse* response) override;
  grpc::ServerUnaryReactor* DeleteUser(grpc::CallbackServerContext* context, const user::v1::DeleteUserRequest* request,
                                       user::v1::DeleteUserResponse* response) override;
  grpc::ServerUnaryReactor* GetUserDeletion(grpc::CallbackServerContext* context,
                                            const user::v1::GetUserDeletionRequest* request,
                                            user::v1::GetUserDeletionResponse* response) override;

 private:
  // `begun` is the stored answer of an earlier call with this request_id that began a deletion and did not hear of its
  // outcome. Null: there is none.
  absl::Status Delete(const Call& call, const user::v1::DeleteUserRequest& request,
                      const user::v1::DeleteUserResponse* begun, const idempotency::Record<relation::Deletion>& record,
                      user::v1::DeleteUserResponse& response);

  Users& users_;
  relation::Deletions& deletions_;
  const relation::Blocked& blocked_;
  rpc::Calls& calls_;
  idempotency::Writes& writes_;
  CreateLine create_;
};

// What the internal listener serves: post-service needs BatchGetUsers to include users in its answers. Every other
// method is UNIMPLEMENTED there.
class InternalUserRpc final : public user::v1::UserService::CallbackService {
 public:
  InternalUserRpc(Users& users, std::shared_ptr<rpc::Admission> admission, rpc::CallLines& lines,
                  telemetry::Metrics& metrics)
      : users_(users), calls_("user.v1.UserService", std::move(admission), lines, metrics) {}

  grpc::ServerUnaryReactor* BatchGetUsers(grpc::CallbackServerContext* context,
                                          const user::v1::BatchGetUsersRequest* request,
                                          user::v1::BatchGetUsersResponse* response) override;

 private:
  Users& users_;
  rpc::Calls calls_;
};

}  // namespace crosskey::users
