// A row that somebody else has locked.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "common/db/database.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_database.h"

namespace crosskey::testing {

// Holds a row of a table locked against changes, as a long transaction of another process would. On SQLite that locks
// out every writer.
class HeldRow {
 public:
  HeldRow(const TestDatabase& database, const std::string& table, int64_t id) : metrics_("test", "0") {
    db::DatabaseOptions options;
    options.url = *db::ParseUrl(database.url());
    database_ = std::make_unique<db::Database>(options, metrics_);
    thread_ = std::thread([this, table, id] {
      const db::Sql lock{"test.lock", "SELECT id FROM " + table + " WHERE id = ? {update}"};
      const auto ignored =
          database_->Transact(Call::Background(absl::Seconds(60)), "test", [&](db::Tx& tx) -> absl::Status {
            EXPECT_THAT(tx.Query<int64_t>(lock, id), IsOk());
            held_.Notify();
            released_.WaitForNotification();
            return absl::OkStatus();
          });
      EXPECT_THAT(ignored, IsOk());
    });
    held_.WaitForNotification();
  }
  ~HeldRow() { Release(); }

  void Release() {
    if (!thread_.joinable()) return;
    released_.Notify();
    thread_.join();
  }

 private:
  telemetry::Metrics metrics_;
  std::unique_ptr<db::Database> database_;
  absl::Notification held_;
  absl::Notification released_;
  std::thread thread_;
};

}  // namespace crosskey::testing
