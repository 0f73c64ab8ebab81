// Lines and their threads: what gathers, when another thread begins, and what is refused.
#include <atomic>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "common/batch/line.h"
#include "tests/support/metric_of.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using ::testing::ElementsAre;

// What a test does with its items: keeps them, in their batches, until the test lets them go.
class Done {
 public:
  void Add(std::vector<int> batch) {
    std::lock_guard lock(mutex_);
    batches_.push_back(std::move(batch));
  }
  std::vector<std::vector<int>> batches() const {
    std::lock_guard lock(mutex_);
    return batches_;
  }
  size_t size() const { return batches().size(); }

 private:
  mutable std::mutex mutex_;
  std::vector<std::vector<int>> batches_;
};

struct Number {
  int value;
  std::shared_ptr<std::atomic<bool>> late = std::make_shared<std::atomic<bool>>(false);
  std::shared_ptr<std::atomic<bool>> refused = std::make_shared<std::atomic<bool>>(false);

  absl::Status Waiting() const { return *late ? absl::CancelledError("late") : absl::OkStatus(); }
  void Refuse(const absl::Status&) { *refused = true; }
};

class BatchTest : public ::testing::Test {
 protected:
  explicit BatchTest(int threads = 4) : workers(threads, metrics) {}

  // A line that notes each batch and then waits until `go`.
  std::unique_ptr<batch::Line<Number>> Line(const batch::LineOptions& options) {
    return std::make_unique<batch::Line<Number>>(workers, options, [this](std::vector<Number> items) {
      std::vector<int> values;
      for (const Number& item : items) values.push_back(item.value);
      done.Add(std::move(values));
      go.WaitForNotification();
    });
  }

  telemetry::Metrics metrics{"test", "0"};
  batch::Workers workers;
  Done done;
  absl::Notification go;
};

constexpr absl::Duration kForEver = absl::Hours(1);

TEST_F(BatchTest, WhatComesMeanwhileIsTheNextBatch) {
  const auto line = Line({"test", 3, 1, kForEver});
  line->Add({1});
  ASSERT_TRUE(WaitFor([&] { return done.size() == 1; }));
  for (int i = 2; i <= 6; ++i) line->Add({i});
  EXPECT_EQ(MetricOf(metrics, "crosskey_line_calls", {{"line", "test"}}), 5);
  go.Notify();
  workers.Stop();
  EXPECT_THAT(done.batches(), ElementsAre(ElementsAre(1), ElementsAre(2, 3, 4), ElementsAre(5, 6)));
  EXPECT_EQ(ObservedOf(metrics, "crosskey_batch_calls", {{"line", "test"}}).count, 3u);
  EXPECT_EQ(ObservedOf(metrics, "crosskey_batch_calls", {{"line", "test"}}).sum, 6);
}

TEST_F(BatchTest, AnotherThreadBeginsOnceTheFirstItemHasWaitedButNotMoreThanLanes) {
  const auto line = Line({"test", 8, 2, absl::Milliseconds(5)});
  line->Add({1});
  ASSERT_TRUE(WaitFor([&] { return done.size() == 1; }));
  line->Add({2});
  ASSERT_TRUE(WaitFor([&] { return done.size() == 2; }));
  line->Add({3});
  // A line of another kind gets a thread all the same.
  const auto other = Line({"other", 1, 1});
  other->Add({4});
  ASSERT_TRUE(WaitFor([&] { return done.size() == 3; }));
  EXPECT_THAT(done.batches(), ElementsAre(ElementsAre(1), ElementsAre(2), ElementsAre(4)));
  go.Notify();
  workers.Stop();
  EXPECT_EQ(done.size(), 4u);
}

TEST_F(BatchTest, WhatMayNotWaitAnyLongerIsRefusedAlsoIfNoThreadIsFree) {
  const auto line = Line({"test", 8, 1, kForEver});
  line->Add({1});
  ASSERT_TRUE(WaitFor([&] { return done.size() == 1; }));
  const Number stays{2}, late{3};
  line->Add(stays);
  line->Add(late);
  *late.late = true;
  EXPECT_TRUE(WaitFor([&] { return late.refused->load(); }));
  go.Notify();
  workers.Stop();
  EXPECT_THAT(done.batches(), ElementsAre(ElementsAre(1), ElementsAre(2)));
  EXPECT_FALSE(*stays.refused);
}

class BatchOnOneThread : public BatchTest {
 protected:
  BatchOnOneThread() : BatchTest(1) {}
};

TEST_F(BatchOnOneThread, TheLineWhoseFirstItemHasWaitedLongestIsNext) {
  const auto first = Line({"first", 8, 1});
  const auto second = Line({"second", 8, 1});
  first->Add({1});
  ASSERT_TRUE(WaitFor([&] { return done.size() == 1; }));
  second->Add({2});
  first->Add({3});
  second->Add({4});
  go.Notify();
  workers.Stop();
  EXPECT_THAT(done.batches(), ElementsAre(ElementsAre(1), ElementsAre(2, 4), ElementsAre(3)));
}

TEST_F(BatchTest, ManyItemsFromManyThreadsAreEachDoneOnce) {
  std::atomic<int> sum = 0, batches = 0;
  batch::Line<Number> line(workers, {"test", 16, 3, absl::ZeroDuration()}, [&](std::vector<Number> items) {
    ++batches;
    for (const Number& item : items) sum += item.value;
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 1; i <= 1000; ++i) line.Add({i});
    });
  }
  for (std::thread& thread : threads) thread.join();
  workers.Stop();
  EXPECT_EQ(sum, 8 * 500500);
  EXPECT_LE(batches, 8000);
}

}  // namespace
}  // namespace crosskey::testing
