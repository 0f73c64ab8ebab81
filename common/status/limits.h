// Every limit of the API that both services have, in one place: the constants, and below them the table that --help
// prints. Limits that only one service has are in domain/limits.h of that service.
#pragma once

#include <variant>

#include "absl/time/time.h"

namespace crosskey::limits {

inline constexpr int kKibibyte = 1024;
inline constexpr int kMebibyte = 1024 * kKibibyte;

inline constexpr absl::Duration kDefaultDeadline = absl::Seconds(30);
inline constexpr int kPasswordFileBytes = 4096;
inline constexpr int kServers = 16;       // in --db
inline constexpr int kEventServers = 16;  // in --events
inline constexpr int kTlsFileBytes = kMebibyte;
inline constexpr absl::Duration kPeerCallTimeout = absl::Seconds(2);
inline constexpr int kTransactionRetries = 5;
inline constexpr int kClusterRetries = 20;  // where other servers take writes too, most conflicts show at the COMMIT
// Of ids, tokens and short texts: 1,000 ids have up to 10 KB, 100 types of events 10 KB. Few methods take more.
inline constexpr int kRequestKibibytes = 64;
inline constexpr int kInternalRequestKibibytes = 256;
inline constexpr int kDefaultPageRows = 50;
inline constexpr int kMaxPageRows = 1000;
inline constexpr int kPageBytes = 3 * kMebibyte;
inline constexpr int kRowsExamined = 10000;
inline constexpr int kRestrictedRowsCounted = 1000;
inline constexpr int kPreviewRowsCounted = 1000000;
inline constexpr int kBatchIds = 1000;
inline constexpr int kConsistencyRounds = 5;
inline constexpr absl::Duration kAnswerAge = absl::Seconds(10);
inline constexpr int kLostIds = 1'000'000'000;
inline constexpr int kEventsInFlight = 1'000'000'000;
// Of what the other service says. Not in the table, because no counter ever gets there.
inline constexpr int64_t kLargestId = (int64_t{1} << 53) - 1;
inline constexpr int kReclaimBatchRows = 1000;
inline constexpr absl::Duration kIntentRecoveryAge = absl::Seconds(5);
inline constexpr absl::Duration kBookmarkInterval = absl::Seconds(5);
inline constexpr int kFeedSubscribers = 64;
inline constexpr int kReflectionStreams = 16;
inline constexpr absl::Duration kReflectionStream = absl::Seconds(30);
inline constexpr int kHealthWatches = 1000;
inline constexpr absl::Duration kHealthWatch = absl::Hours(1);
inline constexpr int kRefusalLines = 100;
inline constexpr int kConnections = 2000;
inline constexpr int kMetricsConnections = 64;
inline constexpr int kMetricsRequestKibibytes = 8;
inline constexpr absl::Duration kMetricsRequest = absl::Seconds(2);
inline constexpr absl::Duration kMetricsAnswer = absl::Seconds(10);
inline constexpr absl::Duration kUnreadFor = absl::Seconds(30);
inline constexpr int kUnreadAnswers = 1000;
inline constexpr int kUnreadMebibytes = 16;
inline constexpr int kEventBatch = 500;
inline constexpr absl::Duration kApplyTime = absl::Seconds(2);  // for a transaction with several events
inline constexpr int kEventBatchBytes = kMebibyte;
inline constexpr int kEventTypes = 100;
inline constexpr int kEventTypeBytes = 100;                             // the width of outbox.type
inline constexpr absl::Duration kEventRetention = absl::Hours(7 * 24);  // the default of --event-retention
inline constexpr int kTrimBatch = 500;
inline constexpr absl::Duration kLease = absl::Seconds(15);
inline constexpr absl::Duration kRequestIdRetention = absl::Hours(24);
inline constexpr absl::Duration kDeletionRecordRetention = absl::Hours(30 * 24);

struct Limit {
  const char* meaning;
  std::variant<int, absl::Duration> value;
  const char* unit;  // of an int; empty for a duration
};

inline constexpr Limit kTable[] = {
    {"deadline of a call that brings none", kDefaultDeadline, ""},
    {"file with the password of the database", kPasswordFileBytes, "bytes"},
    {"servers of one database in --db", kServers, "servers"},
    {"servers of one cluster in --events", kEventServers, "servers"},
    {"file with a key or with certificates", kTlsFileBytes / kMebibyte, "MiB"},
    {"call to the peer", kPeerCallTimeout, ""},
    {"retries of a transaction after a conflict", kTransactionRetries, "times"},
    {"the same on a cluster whose servers all take writes", kClusterRetries, "times"},
    {"request, unless its method has a limit of its own", kRequestKibibytes, "KiB"},
    {"request of the other service", kInternalRequestKibibytes, "KiB"},
    {"page, when page_size is 0", kDefaultPageRows, "rows"},
    {"page, at most", kMaxPageRows, "rows"},
    {"page, at most", kPageBytes / kMebibyte, "MiB"},
    {"rows examined for a page", kRowsExamined, "rows"},
    {"rows counted for the error RESTRICTED", kRestrictedRowsCounted, "rows"},
    {"rows counted for a preview", kPreviewRowsCounted, "rows"},
    {"elements of a batch request", kBatchIds, "elements"},
    {"repetitions of a lookup or release that others overtook", kConsistencyRounds, "times"},
    {"answer of the other service is used, at most", kAnswerAge, ""},
    {"ids that a restored database can have lost", kLostIds, "ids"},
    {"events that the other service can be ahead of this one", kEventsInFlight, "events"},
    {"batch of a reclaim", kReclaimBatchRows, "rows"},
    {"age at which an undecided deletion is taken up again", kIntentRecoveryAge, ""},
    {"bookmark in an idle event stream, every", kBookmarkInterval, ""},
    {"event streams at a time", kFeedSubscribers, "streams"},
    {"connections of both listeners together", kConnections, "connections"},
    {"connections to the page of metrics", kMetricsConnections, "connections"},
    {"request for the page of metrics", kMetricsRequestKibibytes, "KiB"},
    {"request for the page of metrics", kMetricsRequest, ""},
    {"page of metrics is being read, at most", kMetricsAnswer, ""},
    {"answer waits for its client to read it, at most", kUnreadFor, ""},
    {"answers that clients have not read", kUnreadAnswers, "answers"},
    {"answers that clients have not read", kUnreadMebibytes, "MiB"},
    {"reflection streams at a time", kReflectionStreams, "streams"},
    {"reflection stream, at most", kReflectionStream, ""},
    {"health watches at a time", kHealthWatches, "watches"},
    {"health watch, at most", kHealthWatch, ""},
    {"refusals in the audit record, a second", kRefusalLines, "lines"},
    {"batch of events", kEventBatch, "events"},
    {"transaction that consumes several events", kApplyTime, ""},
    {"batch of events", kEventBatchBytes / kMebibyte, "MiB"},
    {"types of events that a subscriber names", kEventTypes, "types"},
    {"name of a type of events", kEventTypeBytes, "bytes"},
    {"event is kept, unless --event-retention says otherwise", kEventRetention, ""},
    {"batch of events removed from the log", kTrimBatch, "events"},
    {"lease of a background task", kLease, ""},
    {"answer to a request_id is kept", kRequestIdRetention, ""},
    {"record of a finished deletion is kept", kDeletionRecordRetention, ""},
};

}  // namespace crosskey::limits
