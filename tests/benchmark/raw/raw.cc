// What the database alone allows: the statements of a call, prepared, sent by the C library, without gRPC and without a
// service. Prints JSON as the client does. The tables are those that post-service makes; the driver fills them with the
// users 1 to USERS and the posts 1 to POSTS. See --help.
#include <atomic>
#include <cstdio>
#include <stdexcept>
#include <thread>

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "tests/benchmark/client/calls.h"
#include "tests/benchmark/measure/process_usage.h"
#include "tests/benchmark/measure/samples.h"
#include "tests/benchmark/raw/session.h"

namespace crosskey::benchmark {
namespace {

constexpr int64_t kNow = 1'764'000'000'000'000;

struct Options {
  Database database;
  std::vector<std::string> watched;
  int sessions = 16;
  double seconds = 2;
  double warm_up = 0.5;
  int64_t seed = 0;
  int64_t users = 1000;
  int64_t posts = 10'000;
  int64_t rows = 100'000;
  std::string guard = "shared";  // of create-post: what excludes the deletion of the user
};

// One session. It does the work of a call again and again.
class Work {
 public:
  explicit Work(const Options& options) : session_(options.database) {}
  virtual ~Work() = default;
  virtual void Do(int64_t n) = 0;
  // Until no other transaction is in its way.
  void DoInTheEnd(int64_t n) {
    for (;;) {
      try {
        return Do(n);
      } catch (const Deadlock&) {
        session_.Execute("ROLLBACK");
      }
    }
  }

 protected:
  Session session_;
};

class GetPost : public Work {
 public:
  explicit GetPost(const Options& options)
      : Work(options),
        posts_(options.posts),
        seed_(options.seed),
        get_(session_,
             "SELECT p.id, p.uid, p.user_id, p.title, p.content, p.like_count, p.version, p.create_time, p.update_time "
             "FROM posts p JOIN user_refs r ON r.id = p.user_id AND r.state = 1 WHERE p.id = ? AND p.state = 1") {}
  void Do(int64_t n) override {
    if (get_.Execute({ChooseBelow(posts_, seed_, n) + 1}) != 1) throw std::runtime_error("there is no such post");
  }

 private:
  int64_t posts_;
  int64_t seed_;
  Statement get_;
};

class CreatePost : public Work {
 public:
  explicit CreatePost(const Options& options)
      : Work(options),
        users_(options.users),
        seed_(options.seed),
        guard_(options.guard),
        lock_(session_, "SELECT id, state FROM user_refs WHERE id IN (?) ORDER BY id LOCK IN SHARE MODE"),
        write_(session_,
               "INSERT INTO cluster_locks (space, id, writes) VALUES ('user_refs', ?, 1) "
               "ON DUPLICATE KEY UPDATE writes = writes + 1"),
        insert_(session_,
                "INSERT INTO posts (uid, user_id, title, content, content_bytes, version, create_time, update_time) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"),
        append_(session_,
                "INSERT INTO outbox (event_id, type, subject, time, traceparent, payload) VALUES (?, ?, ?, ?, ?, ?)") {}
  void Do(int64_t n) override {
    const int64_t user = ChooseBelow(users_, seed_, n) + 1;
    const std::string content = PostContent();
    session_.Execute("BEGIN");
    if (guard_ == "written") write_.Execute({user});
    if (guard_ != "none" && lock_.Execute({user}) != 1) throw std::runtime_error("there is no such user");
    insert_.Execute(
        {NewRequestId(), user, PostTitle(), content, static_cast<int64_t>(content.size()), int64_t{1}, kNow, kNow});
    append_.Execute({NewRequestId(), std::string("post.v1.PostCreated"), absl::StrCat("posts/", insert_.insert_id()),
                     kNow, std::string(), std::string(80, 'p')});
    session_.Execute("COMMIT");
  }

 private:
  int64_t users_;
  int64_t seed_;
  std::string guard_;
  Statement lock_;
  Statement write_;
  Statement insert_;
  Statement append_;
};

template <typename Kind>
nlohmann::json Run(const Options& options) {
  std::vector<Watched> watched;
  for (const std::string& one : options.watched) watched.push_back(ParseWatched(one));
  ProcessUsage usage(std::move(watched));
  std::vector<std::unique_ptr<Work>> works;
  std::vector<Samples> samples(static_cast<size_t>(options.sessions));
  for (int i = 0; i < options.sessions; ++i) works.push_back(std::make_unique<Kind>(options));
  std::atomic<bool> stopping{false};
  std::vector<std::thread> threads;
  for (size_t i = 0; i < works.size(); ++i) {
    threads.emplace_back([&, i] {
      try {
        // Each session has calls of its own.
        for (int64_t n = static_cast<int64_t>(i) * 1'000'003; !stopping; ++n) {
          const Clock::time_point begin = Clock::now();
          works[i]->DoInTheEnd(n);
          samples[i].Add(begin, Clock::now());
        }
      } catch (const std::runtime_error& error) {
        samples[i].Fail(error.what());
      }
    });
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(options.warm_up));
  usage.Begin();
  Window window{Clock::now(), {}};
  std::this_thread::sleep_for(std::chrono::duration<double>(options.seconds));
  window.end = Clock::now();
  nlohmann::json processes = usage.End();
  const double others_share = usage.OthersShare();
  stopping = true;
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 1; i < samples.size(); ++i) samples[0].Append(samples[i]);
  const int64_t calls = samples[0].CallsIn(window);
  for (nlohmann::json& process : processes) {
    if (calls > 0) process["cpu_us_per_call"] = process["cpu_seconds"].get<double>() * 1e6 / static_cast<double>(calls);
  }
  return {{"groups", {{"main", samples[0].Summary(window)}}}, {"processes", processes}, {"others_share", others_share}};
}

// ON DELETE CASCADE in one database: one statement that deletes a user with its posts.
nlohmann::json Cascade(const Options& options) {
  Session session(options.database);
  session.Execute("DROP TABLE IF EXISTS cascade_posts, cascade_users");
  session.Execute("CREATE TABLE cascade_users (id BIGINT NOT NULL PRIMARY KEY) ENGINE=InnoDB");
  session.Execute("CREATE TABLE cascade_posts LIKE posts");
  session.Execute(
      "ALTER TABLE cascade_posts ADD CONSTRAINT cascade_posts_user_id FOREIGN KEY (user_id) "
      "REFERENCES cascade_users (id) ON DELETE CASCADE");
  session.Execute("INSERT INTO cascade_users VALUES (1), (2)");
  session.Execute(absl::StrCat(
      "INSERT INTO cascade_posts (uid, user_id, title, content, content_bytes, version, create_time, update_time) "
      "SELECT UUID(), 1, '",
      PostTitle(), "', '", PostContent(), "', ", PostContent().size(), ", 1, ", kNow, ", ", kNow, " FROM seq_1_to_",
      options.rows));
  const Clock::time_point begin = Clock::now();
  session.Execute("DELETE FROM cascade_users WHERE id = 1");
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  session.Execute("DROP TABLE cascade_posts, cascade_users");
  return {
      {"rows", options.rows}, {"seconds", seconds}, {"rows_per_second", static_cast<double>(options.rows) / seconds}};
}

int Main(int argc, char** argv) {
  Options options;
  nlohmann::json result;
  CLI::App app("The statements of calls without a service, for tests/run benchmark");
  app.require_subcommand(1);
  app.add_option("--port", options.database.port)->required();
  app.add_option("--user", options.database.user)->required();
  app.add_option("--database", options.database.name)->required();
  app.add_option("--watch", options.watched, "NAME=PID[+PID...]");
  app.add_option("--sessions", options.sessions);
  app.add_option("--seconds", options.seconds);
  app.add_option("--warm-up", options.warm_up);
  app.add_option("--seed", options.seed);
  app.add_option("--users", options.users);
  app.add_option("--posts", options.posts);
  app.add_option("--rows", options.rows);
  app.add_option("--guard", options.guard, "of create-post: a lock, a lock and the write of a cluster, or nothing")
      ->check(CLI::IsMember({"shared", "written", "none"}));
  app.add_subcommand("get-post")->fallthrough()->callback([&] { result = Run<GetPost>(options); });
  app.add_subcommand("create-post")->fallthrough()->callback([&] { result = Run<CreatePost>(options); });
  app.add_subcommand("cascade")->fallthrough()->callback([&] { result = Cascade(options); });
  mysql_library_init(0, nullptr, nullptr);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  std::printf("%s\n", result.dump().c_str());
  return 0;
}

}  // namespace
}  // namespace crosskey::benchmark

int main(int argc, char** argv) { return crosskey::benchmark::Main(argc, argv); }
