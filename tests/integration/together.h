// A pair whose calls a test makes share one batch.
#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "common/events/uuid.h"
#include "tests/integration/api_client.h"
#include "tests/support/faults.h"
#include "tests/support/metric_of.h"
#include "tests/support/wait.h"

namespace crosskey::testing {

// A file that faults wait for.
class File {
 public:
  File() : path_(std::filesystem::temp_directory_path() / ("crosskey-" + NewUuid())) {}
  ~File() { std::filesystem::remove(path_); }
  std::string path() const { return path_.string(); }
  void Write() const { std::ofstream(path_) << "go"; }

 private:
  const std::filesystem::path path_;
};

class Together : public DatabaseTest {
 protected:
  Together() : pair_(GetParam(), false) {
    pair_.StartUsers();
    pair_.StartPosts();
  }
  ~Together() override { ClearFaults(); }

  telemetry::Metrics& metrics() { return pair_.post_app().service().metrics(); }
  Observed Batches(const std::string& line) { return ObservedOf(metrics(), "crosskey_batch_calls", {{"line", line}}); }

  // Sends the requests in such a way that one batch has them all. Before, all threads that may work on the line are
  // held in a transaction, each with one call of `holding`, so that the requests gather. `fault` is set when they have.
  // `in_the_middle` is run when their transaction has its locks and has written nothing yet; on servers only.
  template <typename Request>
  auto AsOneBatch(const std::string& line, const std::vector<Request>& holding, const std::vector<Request>& requests,
                  const std::string& fault = "", const std::function<void()>& in_the_middle = nullptr) {
    using Response = decltype(Send(pair_, requests.front()));
    const File go;
    SetFault("guarded_write.locked=wait:" + go.path() + "@*");
    const Observed before = Batches(line);
    std::vector<std::thread> threads;
    for (size_t i = 0; i < holding.size(); ++i) {
      threads.emplace_back([&, i] { Send(pair_, holding[i]); });
      EXPECT_TRUE(WaitFor([&] { return Batches(line).count == before.count + i + 1; }));
    }
    std::vector<Response> answers(requests.size());
    for (size_t i = 0; i < requests.size(); ++i) {
      threads.emplace_back([&, i] { answers[i] = Send(pair_, requests[i]); });
      EXPECT_TRUE(WaitFor([&] {
        return MetricOf(metrics(), "crosskey_line_calls", {{"line", line}}) == static_cast<double>(i + 1);
      }));
    }
    if (!fault.empty()) SetFault(fault);
    const File go_on;
    if (in_the_middle) {
      ClearFaults();  // those that are held stay so
      SetFault("guarded_write.locked=wait:" + go_on.path() + "@1");
    }
    go.Write();
    if (in_the_middle) {
      EXPECT_TRUE(WaitFor([] { return TimesReached("guarded_write.locked") == 1; }));
      in_the_middle();
      go_on.Write();
    }
    for (std::thread& thread : threads) thread.join();
    ClearFaults();
    const Observed after = Batches(line);
    EXPECT_EQ(after.count, before.count + holding.size() + 1) << "the requests were not one batch";
    EXPECT_EQ(after.sum, before.sum + static_cast<double>(holding.size() + requests.size()));
    return answers;
  }

  static post::v1::CreatePostRequest Create(int64_t user, const std::string& title,
                                            const std::string& request_id = "") {
    post::v1::CreatePostRequest request;
    request.set_user_id(user);
    request.set_title(title);
    request.set_request_id(request_id);
    return request;
  }

  auto CreateAsOneBatch(const std::vector<post::v1::CreatePostRequest>& requests, const std::string& fault = "",
                        const std::function<void()>& in_the_middle = nullptr) {
    return AsOneBatch("create_post", std::vector(4, Create(holder(), "held")), requests, fault, in_the_middle);
  }

  int64_t holder() {
    if (holder_ == 0) holder_ = KnownUser("holder");
    return holder_;
  }

  // A user that post-service has heard of. Its event has taken effect, unless the consumer is held: a consumer that
  // locks the reference of the user at the wrong moment takes its writes out of their batch.
  int64_t KnownUser(const std::string& name) {
    const int64_t user = pair_.CreateUser(name);
    pair_.CreatePost(user);
    if (pair_.hold_post_consumer) return user;
    EXPECT_TRUE(WaitFor([&] {
      const int64_t head = pair_.user_db().Number("SELECT head FROM feed");
      return pair_.user_db().Number("SELECT COUNT(*) FROM outbox WHERE sequence IS NULL") == 0 &&
             pair_.post_db().Number("SELECT last_sequence FROM checkpoints") >= head;
    }));
    return user;
  }

  int64_t Posts(const std::string& title) {
    return pair_.post_db().Number("SELECT COUNT(*) FROM posts WHERE title = '" + title + "'");
  }

  Pair pair_;

 private:
  int64_t holder_ = 0;
};

}  // namespace crosskey::testing
