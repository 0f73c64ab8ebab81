#include "post-service/app.h"

#include "common/events/consumer.h"
#include "common/relation/grpc_peer.h"
#include "common/relation/guard.h"
#include "common/relation/parent_events.h"
#include "common/relation/reclaim.h"
#include "common/relation/reference_rpc.h"
#include "common/relation/release.h"
#include "common/telemetry/log.h"
#include "post-service/domain/posts.h"
#include "post-service/events/on_user_events.h"
#include "post-service/peers/user_directory.h"
#include "post-service/relationships.h"
#include "post-service/rpc/post_rpc.h"
#include "post-service/storage/migrations.h"
#include "post-service/storage/post_store.h"

namespace crosskey::posts {
namespace {

constexpr absl::Duration kReclaimPeriod = absl::Seconds(1);  // when nobody wakes it
constexpr absl::Duration kYield = absl::Milliseconds(5);     // between rounds of a large one
constexpr absl::Duration kHold = absl::Milliseconds(50);

}  // namespace

// In the order of construction; destroyed in reverse, after the backbone has stopped.
struct App::Parts {
  Parts(std::unique_ptr<server::Backbone> bone, relation::ReferenceTable reference_table, const server::Hooks& hooks)
      : table(std::move(reference_table)),
        sql(table),
        backbone(std::move(bone)),
        peer("user-service", backbone->peer()),
        directory(backbone->peer()),
        guard(table, sql, backbone->outbox(), peer),
        store(backbone->database()),
        posts(store, guard),
        release(table, sql, backbone->outbox()),
        reclaim(table, sql, backbone->outbox()),
        parent_events(table, sql),
        reclaimer(
            backbone->AddLeasedWorker("reclaim", [this, hooks](const Call& call) { return Reclaim(call, hooks); })),
        consumer(
            "user-service", backbone->outbox(), backbone->transport(), [this] { reclaimer.Wake(); },
            backbone->metrics()),
        post_rpc(posts, directory, backbone->admission(), backbone->metrics()),
        reference_rpc(backbone->internal_admission(), backbone->metrics()) {
    reference_rpc.Serve(table.parent_type, release);
    consumer.On("user.v1.UserCreated", events::Consumer::Kind::kHint,
                [this](events::Tx& tx, const events::Event& event) { return OnUserCreated(tx, event, parent_events); });
    consumer.On("user.v1.UserDeleted", events::Consumer::Kind::kDeletion,
                [this](events::Tx& tx, const events::Event& event) { return OnUserDeleted(tx, event, parent_events); });
    backbone->AddConsumer(consumer);
  }

  absl::Duration Reclaim(const Call& call, const server::Hooks& hooks) {
    if (hooks.hold_reclaim && hooks.hold_reclaim()) return kHold;
    const absl::StatusOr<bool> more = reclaim.Round(call);
    if (!more.ok()) log::Warning("the reclaim was interrupted", {{"error", std::string(more.status().message())}});
    return more.ok() && *more ? kYield : kReclaimPeriod;
  }

  const relation::ReferenceTable table;
  const relation::ReferenceSql sql;
  const std::unique_ptr<server::Backbone> backbone;
  relation::GrpcPeer peer;
  UserDirectory directory;
  relation::Guard guard;
  PostStore store;
  Posts posts;
  relation::Release release;
  relation::Reclaim reclaim;
  relation::ParentEvents parent_events;
  Worker& reclaimer;
  events::Consumer consumer;
  PostRpc post_rpc;
  relation::ReferenceRpc reference_rpc;
};

absl::StatusOr<std::unique_ptr<App>> App::Start(const process::Options& options, server::Hooks hooks) {
  CROSSKEY_ASSIGN_OR_RETURN(relation::ReferenceTable table, ReferencesToUsers());
  CROSSKEY_ASSIGN_OR_RETURN(auto backbone,
                            server::Backbone::Create({options, "post-service", "user-service", Migrations, hooks}));
  // The app owns the parts before anything serves: its destructor stops the backbone first.
  std::unique_ptr<App> app(new App(std::make_unique<Parts>(std::move(backbone), std::move(table), hooks)));
  Parts* parts = app->parts_.get();
  CROSSKEY_RETURN_IF_ERROR(parts->backbone->Serve({{"post.v1.PostService", &parts->post_rpc}},
                                                  {{"relation.v1.ReferenceService", &parts->reference_rpc}}));
  return app;
}

App::App(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

App::~App() { parts_->backbone->Stop(); }

server::Backbone& App::backbone() { return *parts_->backbone; }

}  // namespace crosskey::posts
