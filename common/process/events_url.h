// The --events flag.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace crosskey::process {

// Where the streams of events are.
struct EventsUrl {
  bool tls = false;
  std::string user;                  // empty: none
  std::vector<std::string> servers;  // "host:port", of one cluster; empty: --events is not given
  std::string prefix;                // of the names of streams and subjects
};

// Parses `nats://[user@]host:port[,host:port...][/prefix]`, or `tls://...`, with limits::kEventServers servers at most.
// User and prefix: 1 to 64 letters, digits, '-' and '_'. INVALID_ARGUMENT says what is wrong, without repeating the
// text, in case there is a password in it.
absl::StatusOr<EventsUrl> ParseEventsUrl(const std::string& text);

// What a service is told about them.
struct EventsOptions {
  EventsUrl url;
  std::string ca;  // empty: the system's
  std::string cert;
  std::string key;
  std::string credentials;
  std::string password_file;
  // Of a stream that the service creates.
  int replicas = 1;
  int space = 0;  // MiB of its messages, in each copy; 0: any number
};

}  // namespace crosskey::process
