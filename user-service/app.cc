#include "user-service/app.h"

#include "common/events/consumer.h"
#include "common/idempotency/write_rpc.h"
#include "common/relation/child/child.h"
#include "common/relation/parent/parent.h"
#include "common/relation/parent/repair_points.h"
#include "common/relation/repair/sides.h"
#include "common/relation/rpc/grpc_peer.h"
#include "common/relation/rpc/reference_rpc.h"
#include "common/relation/rpc/shared_lookups_rpc.h"
#include "common/relation/schema/check.h"
#include "common/relation/visibility.h"
#include "user-service/domain/limits.h"
#include "user-service/domain/users.h"
#include "user-service/relationships.h"
#include "user-service/rpc/user_rpc.h"
#include "user-service/storage/schema.h"
#include "user-service/storage/user_store.h"

namespace crosskey::users {

// The members are built in this order. They are destroyed in reverse, after the service has stopped.
struct App::Parts {
  Parts(std::unique_ptr<server::Service> built, const Relationships& relationships)
      : service(std::move(built)),
        peer("post-service", service->peer()),
        lookups(peer, service->lines().workers()),
        parent(relationships.users, service->outbox(), peer, service->peer_watch(), service->now(), service->metrics()),
        posts(relationships.posts, service->outbox(), lookups, service->metrics(), [this] { return HasCalls(); }),
        store(service->outbox(), relation::Visibility({&posts.table}, {})),
        users(store, posts.guard),
        reclaimer(service->background().AddReclaimer({[this](const Call& call) { return posts.reclaim.Round(call); }})),
        consumer(
            "post-service", service->outbox(), service->event_source(), [this] { reclaimer.Wake(); },
            service->metrics()),
        calls("user.v1.UserService", service->front().admission(), service->lines(), service->metrics()),
        writes("user.v1.UserService", calls, service->database(), service->answers()),
        user_rpc(users, parent, calls, writes),
        internal_user_rpc(users, service->front().internal_admission(), service->lines(), service->metrics()),
        points(service->database(), service->history()),
        reference_rpc(service->front().internal_admission(), service->lines(), points, service->metrics()),
        sides{"user-service",
              "post-service",
              service->outbox(),
              service->history(),
              service->transport(),
              peer,
              {&posts},
              &parent,
              [this](const Call& call) { return posts.reclaim.Round(call); }} {
    points.Add(parent.table());
    service->history().Refers(
        [this](db::Connection& connection) { return relation::LatestSeen(connection, posts.table, posts.sql); });
    service->Own(points.ids());
    reference_rpc.Serve(parent.table().type, parent.lookup());
    parent.Consume(consumer);
    posts.events.Consume(consumer);
    service->background().AddConsumer(consumer);
    for (process::Task& task : parent.Tasks()) service->background().Add(std::move(task));
  }

  bool HasCalls() const { return service->front().admission()->in_flight() > 0; }

  const std::unique_ptr<server::Service> service;
  relation::GrpcPeer peer;
  relation::SharedLookups lookups;
  relation::Parent parent;
  relation::Child posts;
  UserStore store;
  Users users;
  Worker& reclaimer;
  events::Consumer consumer;
  rpc::Calls calls;
  idempotency::Writes writes;
  UserRpc user_rpc;
  InternalUserRpc internal_user_rpc;
  relation::RepairPoints points;
  relation::ReferenceRpc reference_rpc;
  const relation::Sides sides;
};

absl::StatusOr<std::unique_ptr<App>> App::Build(const process::Options& options, server::Hooks hooks) {
  CROSSKEY_ASSIGN_OR_RETURN(const Relationships relationships, Relationships::Read());
  CROSSKEY_RETURN_IF_ERROR(
      relation::CheckRegistered(relationships.declarations, {{&relationships.posts}, {}, {&relationships.users}}));
  const auto check_tables = [relationships](db::Connection& connection) {
    return relation::CheckTables(connection, {{&relationships.posts}, {}, {&relationships.users}});
  };
  CROSSKEY_ASSIGN_OR_RETURN(auto service, server::Service::Create({options, "user-service", "post-service",
                                                                   kRequestBytes, Schema(), check_tables, hooks}));
  return std::unique_ptr<App>(new App(std::make_unique<Parts>(std::move(service), relationships)));
}

absl::StatusOr<std::unique_ptr<App>> App::Start(const process::Options& options, server::Hooks hooks) {
  // The app owns the parts before anything serves. So its destructor stops the service before the parts are destroyed,
  // even if Serve fails.
  CROSSKEY_ASSIGN_OR_RETURN(std::unique_ptr<App> app, Build(options, std::move(hooks)));
  Parts* parts = app->parts_.get();
  CROSSKEY_RETURN_IF_ERROR(parts->service->Serve(
      {{"user.v1.UserService", &parts->user_rpc}},
      {{"relation.v1.ReferenceService", &parts->reference_rpc}, {"user.v1.UserService", &parts->internal_user_rpc}}));
  return app;
}

App::App(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

App::~App() { parts_->service->Stop(); }

server::Service& App::service() { return *parts_->service; }

const relation::Sides& App::sides() const { return parts_->sides; }

int Main(int argc, char** argv, const server::Hooks& hooks) {
  const process::ServiceDefaults defaults{"user-service",    "CROSSKEY_USER_",  "sqlite:user-service.db",
                                          "127.0.0.1:50051", "127.0.0.1:50061", "127.0.0.1:9451",
                                          "127.0.0.1:50062", OwnLimits()};
  return server::Main(argc, argv,
                      {defaults, "post-service", Schema(),
                       [&hooks](const process::Options& options) -> absl::StatusOr<std::unique_ptr<server::Running>> {
                         return App::Start(options, hooks);
                       },
                       [&hooks](const process::Options& options) -> absl::StatusOr<std::unique_ptr<server::Running>> {
                         return App::Build(options, hooks);
                       }});
}

}  // namespace crosskey::users
