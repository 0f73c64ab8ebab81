#include "post-service/app.h"

#include "common/events/consumer.h"
#include "common/idempotency/write_rpc.h"
#include "common/relation/grpc_peer.h"
#include "common/relation/hidden_rows.h"
#include "common/relation/lookup.h"
#include "common/relation/reference_rpc.h"
#include "common/relation/references.h"
#include "post-service/domain/likes.h"
#include "post-service/domain/posts.h"
#include "post-service/events/on_user_events.h"
#include "post-service/peers/user_directory.h"
#include "post-service/relationships.h"
#include "post-service/rpc/post_rpc.h"
#include "post-service/storage/like_store.h"
#include "post-service/storage/migrations.h"
#include "post-service/storage/post_store.h"
#include "post-service/storage/posts_sql.h"

namespace crosskey::posts {

// In the order of construction; destroyed in reverse, after the backbone has stopped.
struct App::Parts {
  Parts(std::unique_ptr<server::Backbone> bone, relation::ReferenceTable user_references,
        const relation::LocalParent& local_posts)
      : backbone(std::move(bone)),
        peer("user-service", backbone->peer()),
        directory(backbone->peer()),
        users(std::move(user_references), backbone->outbox(), peer, backbone->metrics()),
        posts_store(backbone->database()),
        likes_store(backbone->database()),
        posts(posts_store, users.guard, [this] { reclaimer.Wake(); }),
        likes(posts_store, likes_store, users.guard),
        lookup(sql::kLookup, backbone->database()),
        hidden_posts(local_posts, backbone->outbox(), backbone->metrics()),
        reclaimer(backbone->AddReclaimer({[this](const Call& call) { return hidden_posts.Round(call); },
                                          [this](const Call& call) { return users.reclaim.Round(call); }})),
        consumer(
            "user-service", backbone->outbox(), backbone->transport(), [this] { reclaimer.Wake(); },
            backbone->metrics()),
        calls("post.v1.PostService", backbone->admission(), backbone->metrics()),
        writes("post.v1.PostService", calls, backbone->database(), backbone->answers()),
        post_rpc(posts, likes, directory, calls, writes),
        reference_rpc(backbone->internal_admission(), backbone->metrics()) {
    reference_rpc.Serve(users.table.parent_type, users.release);
    reference_rpc.Serve(kPostType, lookup);
    consumer.On("user.v1.UserCreated", events::Consumer::Kind::kHint,
                [this](events::Tx& tx, const events::Event& event) { return OnUserCreated(tx, event, users.events); });
    consumer.On("user.v1.UserDeleted", events::Consumer::Kind::kDeletion,
                [this](events::Tx& tx, const events::Event& event) { return OnUserDeleted(tx, event, users.events); });
    backbone->AddConsumer(consumer);
  }

  const std::unique_ptr<server::Backbone> backbone;
  relation::GrpcPeer peer;
  UserDirectory directory;
  relation::References users;
  PostStore posts_store;
  LikeStore likes_store;
  Posts posts;
  Likes likes;
  relation::Lookup lookup;
  relation::HiddenRows hidden_posts;
  Worker& reclaimer;
  events::Consumer consumer;
  rpc::Calls calls;
  idempotency::Writes writes;
  PostRpc post_rpc;
  relation::ReferenceRpc reference_rpc;
};

absl::StatusOr<std::unique_ptr<App>> App::Start(const process::Options& options, server::Hooks hooks) {
  CROSSKEY_ASSIGN_OR_RETURN(relation::ReferenceTable users, ReferencesToUsers());
  CROSSKEY_ASSIGN_OR_RETURN(const relation::LocalParent posts, ReferencesToPosts());
  CROSSKEY_ASSIGN_OR_RETURN(auto backbone,
                            server::Backbone::Create({options, "post-service", "user-service", Migrations, hooks}));
  // The app owns the parts before anything serves: its destructor stops the backbone first.
  std::unique_ptr<App> app(new App(std::make_unique<Parts>(std::move(backbone), std::move(users), posts)));
  Parts* parts = app->parts_.get();
  CROSSKEY_RETURN_IF_ERROR(parts->backbone->Serve({{"post.v1.PostService", &parts->post_rpc}},
                                                  {{"relation.v1.ReferenceService", &parts->reference_rpc}}));
  return app;
}

App::App(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

App::~App() { parts_->backbone->Stop(); }

server::Backbone& App::backbone() { return *parts_->backbone; }

}  // namespace crosskey::posts
