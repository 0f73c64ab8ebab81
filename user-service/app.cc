#include "user-service/app.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>

#include "common/events/consumer.h"
#include "common/idempotency/write_rpc.h"
#include "common/relation/blocked.h"
#include "common/relation/deletions.h"
#include "common/relation/grpc_peer.h"
#include "common/relation/lookup.h"
#include "common/relation/reference_rpc.h"
#include "common/relation/references.h"
#include "common/telemetry/log.h"
#include "user-service/domain/users.h"
#include "user-service/events/on_posts_deleted.h"
#include "user-service/events/on_user_posts_reclaimed.h"
#include "user-service/relationships.h"
#include "user-service/rpc/user_rpc.h"
#include "user-service/storage/migrations.h"
#include "user-service/storage/user_store.h"

namespace crosskey::users {
namespace {

constexpr absl::Duration kRecoveryPeriod = absl::Seconds(1);
constexpr absl::Duration kPurgePeriod = absl::Hours(1);
constexpr absl::Duration kSamplePeriod = absl::Seconds(2);

}  // namespace

// In the order of construction; destroyed in reverse, after the backbone has stopped.
struct App::Parts {
  Parts(std::unique_ptr<server::Backbone> bone, relation::ParentTable users_table,
        relation::ReferenceTable post_references, const server::Hooks& hooks)
      : table(std::move(users_table)),
        backbone(std::move(bone)),
        peer("post-service", backbone->peer()),
        store(backbone->outbox()),
        posts(std::move(post_references), backbone->outbox(), peer, backbone->metrics()),
        users(store, posts.guard),
        deletions(table, backbone->outbox(), peer, backbone->now(), backbone->metrics()),
        blocked(table.peer, backbone->peer_watch(), backbone->now()),
        lookup(table, backbone->database()),
        reclaimer(backbone->AddReclaimer({[this](const Call& call) { return posts.reclaim.Round(call); }})),
        consumer(
            "post-service", backbone->outbox(), backbone->transport(), [this] { reclaimer.Wake(); },
            backbone->metrics()),
        oldest_unfinished(prometheus::BuildGauge()
                              .Name("crosskey_oldest_unfinished_deletion_seconds")
                              .Help("Age of the oldest deletion that is not over; 0: there is none.")
                              .Register(backbone->metrics().registry())
                              .Add({})),
        recovery_failures(prometheus::BuildCounter()
                              .Name("crosskey_recovery_failures_total")
                              .Help("Rounds of the recovery that left a deletion undecided.")
                              .Register(backbone->metrics().registry())
                              .Add({})),
        calls("user.v1.UserService", backbone->admission(), backbone->metrics()),
        writes("user.v1.UserService", calls, backbone->database(), backbone->answers()),
        user_rpc(users, deletions, blocked, calls, writes),
        internal_user_rpc(users, backbone->internal_admission(), backbone->metrics()),
        reference_rpc(backbone->internal_admission(), backbone->metrics()) {
    reference_rpc.Serve(table.type, lookup);
    consumer.On(
        "post.v1.UserPostsReclaimed", events::Consumer::Kind::kNormal,
        [this](events::Tx& tx, const events::Event& event) { return OnUserPostsReclaimed(tx, event, deletions); });
    consumer.On("post.v1.PostsDeleted", events::Consumer::Kind::kDeletion,
                [this](events::Tx& tx, const events::Event& event) { return OnPostsDeleted(tx, event, posts.events); });

    backbone->AddConsumer(consumer);
    backbone->AddLeasedWorker(
        "recovery",
        [this, hooks](const Call& call) {
          if (hooks.hold_recovery && hooks.hold_recovery()) return kRecoveryPeriod;
          const absl::Status status = deletions.Recover(call);
          if (!status.ok()) {
            recovery_failures.Increment();
            log::Warning("the recovery of deletions did not get through", {{"error", std::string(status.message())}});
          }
          return kRecoveryPeriod;
        },
        true);
    backbone->AddWorker("liveness", [this](const Call& call) {
      const absl::StatusOr<absl::Duration> age = deletions.OldestUnfinished(call);
      if (age.ok()) oldest_unfinished.Set(absl::ToDoubleSeconds(*age));
      return kSamplePeriod;
    });
    backbone->AddLeasedWorker("purge", [this, next = absl::InfinitePast()](const Call& call) mutable {
      if (absl::Now() < next) return kPurgePeriod;  // a leased worker comes by more often
      const absl::StatusOr<bool> more = deletions.Purge(call);
      if (!more.ok()) log::Warning("could not purge", {{"error", std::string(more.status().message())}});
      if (more.ok() && *more) return absl::ZeroDuration();
      next = absl::Now() + kPurgePeriod;
      return kPurgePeriod;
    });
  }

  const relation::ParentTable table;
  const std::unique_ptr<server::Backbone> backbone;
  relation::GrpcPeer peer;
  UserStore store;
  relation::References posts;
  Users users;
  relation::Deletions deletions;
  relation::Blocked blocked;
  relation::Lookup lookup;
  Worker& reclaimer;
  events::Consumer consumer;
  prometheus::Gauge& oldest_unfinished;
  prometheus::Counter& recovery_failures;
  rpc::Calls calls;
  idempotency::Writes writes;
  UserRpc user_rpc;
  InternalUserRpc internal_user_rpc;
  relation::ReferenceRpc reference_rpc;
};

absl::StatusOr<std::unique_ptr<App>> App::Start(const process::Options& options, server::Hooks hooks) {
  CROSSKEY_ASSIGN_OR_RETURN(relation::ParentTable users, UsersAsParents());
  CROSSKEY_ASSIGN_OR_RETURN(relation::ReferenceTable posts, ReferencesToPosts());
  CROSSKEY_ASSIGN_OR_RETURN(auto backbone,
                            server::Backbone::Create({options, "user-service", "post-service", Migrations, hooks}));
  // The app owns the parts before anything serves: its destructor stops the backbone first.
  std::unique_ptr<App> app(
      new App(std::make_unique<Parts>(std::move(backbone), std::move(users), std::move(posts), hooks)));
  Parts* parts = app->parts_.get();
  CROSSKEY_RETURN_IF_ERROR(parts->backbone->Serve(
      {{"user.v1.UserService", &parts->user_rpc}},
      {{"relation.v1.ReferenceService", &parts->reference_rpc}, {"user.v1.UserService", &parts->internal_user_rpc}}));
  return app;
}

App::App(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

App::~App() { parts_->backbone->Stop(); }

server::Backbone& App::backbone() { return *parts_->backbone; }

}  // namespace crosskey::users
