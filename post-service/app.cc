#include "post-service/app.h"

#include "common/events/consumer.h"
#include "common/idempotency/write_rpc.h"
#include "common/relation/child/child.h"
#include "common/relation/child/hidden_rows.h"
#include "common/relation/parent/lookup.h"
#include "common/relation/parent/repair_points.h"
#include "common/relation/repair/sides.h"
#include "common/relation/rpc/grpc_peer.h"
#include "common/relation/rpc/reference_rpc.h"
#include "common/relation/rpc/shared_lookups_rpc.h"
#include "common/relation/schema/check.h"
#include "common/relation/visibility.h"
#include "post-service/domain/likes.h"
#include "post-service/domain/limits.h"
#include "post-service/domain/posts.h"
#include "post-service/peers/user_directory.h"
#include "post-service/relationships.h"
#include "post-service/rpc/post_rpc.h"
#include "post-service/storage/like_store.h"
#include "post-service/storage/post_store.h"
#include "post-service/storage/schema.h"

namespace crosskey::posts {

// The members are built in this order. They are destroyed in reverse, after the service has stopped.
struct App::Parts {
  Parts(std::unique_ptr<server::Service> built, const Relationships& relationships)
      : service(std::move(built)),
        peer("user-service", service->peer()),
        lookups(peer, service->lines().workers()),
        directory(service->peer()),
        visibility({&relationships.users}, {&relationships.posts}),
        users(relationships.users, service->outbox(), lookups, service->metrics(), [this] { return HasCalls(); }),
        hidden_posts(relationships.posts, service->outbox(), service->metrics(), [this] { return HasCalls(); }),
        post_store(service->database(), visibility),
        like_store(service->database(), visibility),
        posts(post_store, users.guard, hidden_posts, [this] { reclaimer.Wake(); }),
        likes(post_store, like_store, users.guard),
        lookup(PostsSql(visibility).lookup, PostsSql(visibility).examine, service->database()),
        reclaimer(service->background().AddReclaimer({[this](const Call& call) { return hidden_posts.Round(call); },
                                                      [this](const Call& call) { return users.reclaim.Round(call); }})),
        consumer(
            "user-service", service->outbox(), service->event_source(), [this] { reclaimer.Wake(); },
            service->metrics()),
        calls("post.v1.PostService", service->front().admission(), service->lines(), service->metrics()),
        writes("post.v1.PostService", calls, service->database(), service->answers()),
        post_rpc(posts, likes, directory, calls, writes),
        points(service->database(), service->history()),
        reference_rpc(service->front().internal_admission(), service->lines(), points, service->metrics()),
        sides{"post-service",
              "user-service",
              service->outbox(),
              service->history(),
              service->transport(),
              peer,
              {&users},
              nullptr,
              [this](const Call& call) { return Reclaim(call); }} {
    points.Add(relation::GivenIds(kPostType, relationships.posts.table));
    service->history().Refers(
        [this](db::Connection& connection) { return relation::LatestSeen(connection, users.table, users.sql); });
    service->Own(points.ids());
    reference_rpc.Serve(users.table.parent_type, users.release, users.references);
    reference_rpc.Serve(kPostType, lookup);
    users.events.Consume(consumer);
    service->background().AddConsumer(consumer);
  }

  bool HasCalls() const { return service->front().admission()->in_flight() > 0; }

  absl::StatusOr<bool> Reclaim(const Call& call) {
    CROSSKEY_ASSIGN_OR_RETURN(const bool more_posts, hidden_posts.Round(call));
    CROSSKEY_ASSIGN_OR_RETURN(const bool more_users, users.reclaim.Round(call));
    return more_posts || more_users;
  }

  const std::unique_ptr<server::Service> service;
  relation::GrpcPeer peer;
  relation::SharedLookups lookups;
  UserDirectory directory;
  const relation::Visibility visibility;
  relation::Child users;
  relation::HiddenRows hidden_posts;
  PostStore post_store;
  LikeStore like_store;
  Posts posts;
  Likes likes;
  relation::Lookup lookup;
  Worker& reclaimer;
  events::Consumer consumer;
  rpc::Calls calls;
  idempotency::Writes writes;
  PostRpc post_rpc;
  relation::RepairPoints points;
  relation::ReferenceRpc reference_rpc;
  const relation::Sides sides;
};

absl::StatusOr<std::unique_ptr<App>> App::Build(const process::Options& options, server::Hooks hooks) {
  CROSSKEY_ASSIGN_OR_RETURN(const Relationships relationships, Relationships::Read());
  CROSSKEY_RETURN_IF_ERROR(
      relation::CheckRegistered(relationships.declarations, {{&relationships.users}, {&relationships.posts}, {}}));
  const auto check_tables = [relationships](db::Connection& connection) {
    return relation::CheckTables(connection, {{&relationships.users}, {&relationships.posts}, {}});
  };
  CROSSKEY_ASSIGN_OR_RETURN(auto service, server::Service::Create({options, "post-service", "user-service",
                                                                   kRequestBytes, Schema(), check_tables, hooks}));
  return std::unique_ptr<App>(new App(std::make_unique<Parts>(std::move(service), relationships)));
}

absl::StatusOr<std::unique_ptr<App>> App::Start(const process::Options& options, server::Hooks hooks) {
  // The app owns the parts before anything serves. So its destructor stops the service before the parts are destroyed,
  // even if Serve fails.
  CROSSKEY_ASSIGN_OR_RETURN(std::unique_ptr<App> app, Build(options, std::move(hooks)));
  Parts* parts = app->parts_.get();
  CROSSKEY_RETURN_IF_ERROR(parts->service->Serve({{"post.v1.PostService", &parts->post_rpc}},
                                                 {{"relation.v1.ReferenceService", &parts->reference_rpc}}));
  return app;
}

App::App(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

App::~App() { parts_->service->Stop(); }

server::Service& App::service() { return *parts_->service; }

const relation::Sides& App::sides() const { return parts_->sides; }

int Main(int argc, char** argv, const server::Hooks& hooks) {
  const process::ServiceDefaults defaults{"post-service",    "CROSSKEY_POST_",  "sqlite:post-service.db",
                                          "127.0.0.1:50052", "127.0.0.1:50062", "127.0.0.1:9452",
                                          "127.0.0.1:50061", OwnLimits()};
  return server::Main(argc, argv,
                      {defaults, "user-service", Schema(),
                       [&hooks](const process::Options& options) -> absl::StatusOr<std::unique_ptr<server::Running>> {
                         return App::Start(options, hooks);
                       },
                       [&hooks](const process::Options& options) -> absl::StatusOr<std::unique_ptr<server::Running>> {
                         return App::Build(options, hooks);
                       }});
}

}  // namespace crosskey::posts
