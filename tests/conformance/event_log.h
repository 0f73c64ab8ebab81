// An event log in a database of a test's own, with the parts that publish, number and read its events.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/db/migrations.h"
#include "common/events/feed.h"
#include "common/events/history.h"
#include "common/events/outbox.h"
#include "common/events/sequencer.h"
#include "post-service/storage/schema.h"
#include "tests/conformance/storage.h"
#include "tests/support/status_matchers.h"

namespace crosskey::testing {

// A database with the schema of post-service, and the parts that publish, number and read events in it.
struct Log {
  explicit Log(const std::string& backend)
      : storage(backend),
        outbox(storage.database, [this] { ++notified; }),
        sequencer(storage.database),
        feed(storage.database, "post-service"),
        history("post-service", "user-service", storage.database, storage.metrics) {
    EXPECT_THAT(db::Migrate(storage.database, TestCall(), posts::Schema()), IsOk());
  }

  void Append(const std::vector<std::string>& subjects) {
    std::vector<events::Draft> drafts;
    for (const std::string& subject : subjects) drafts.push_back({"t.Type", subject, "p"});
    AppendAll(drafts);
  }
  void AppendTypes(const std::vector<std::string>& types) {
    std::vector<events::Draft> drafts;
    for (const std::string& type : types) drafts.push_back({type, "s", "p"});
    AppendAll(drafts);
  }
  void AppendAll(const std::vector<events::Draft>& drafts) {
    EXPECT_THAT(outbox.Transact(TestCall(), "test",
                                [&](events::Tx& tx) {
                                  for (const events::Draft& draft : drafts) tx.Append(draft);
                                  return absl::OkStatus();
                                }),
                IsOk());
  }

  int64_t Round() {
    const auto numbered = sequencer.Round(TestCall());
    EXPECT_THAT(numbered, IsOk());
    return numbered.value_or(-1);
  }

  // The events after `after`, as a reader of the feed gets them, each as "SEQUENCE SUBJECT".
  std::vector<std::string> Follow(int64_t after) {
    const auto slice = feed.Read(TestCall(), Sequence{after});
    EXPECT_THAT(slice, IsOk());
    std::vector<std::string> texts;
    for (const events::Event& event : slice->events)
      texts.push_back(absl::StrCat(Value(event.sequence), " ", event.subject));
    return texts;
  }

  int64_t Stored() { return storage.own.Number("SELECT COUNT(*) FROM outbox"); }

  std::atomic<int> notified = 0;
  Storage storage;
  events::Outbox outbox;
  events::Sequencer sequencer;
  events::Feed feed;
  events::History history;
};

}  // namespace crosskey::testing
