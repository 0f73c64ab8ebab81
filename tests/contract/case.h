// A contract between a consumer and a provider, as a file of tests/contract/cases says it. README.md explains the
// format.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace crosskey::contract {

using Json = nlohmann::ordered_json;

struct Case {
  std::string file;  // below cases/
  std::string description;
  std::string consumer;  // "client", or a service
  std::string provider;  // a service
  std::string rpc;       // "user.v1.UserService/CreateUser"
  std::vector<std::string> state;
  Json request;
  std::optional<Json> response;  // a case has a response or a status
  std::optional<Json> status;    // google.rpc.Status, with the name of the code
  std::string consumer_sees;     // for an error between the services: the reason that the consumer makes of it
  std::map<std::string, std::string> matchers;  // by path
  bool of_every_method = false;                 // made from a file of cases/every_method
};

// One event between the services, as a file of tests/contract/events says it.
struct EventCase {
  std::string file;
  std::string description;
  std::string producer;
  std::string consumer;
  std::vector<std::string> state;  // of the producer
  std::string rpc;                 // the call that makes the producer publish the event
  Json request;
  Json event;  // event.v1.Event
  std::map<std::string, std::string> matchers;
  struct Step {
    std::string rpc;
    Json request;
    std::string as;  // the variables AS.id and AS.uid get the id (or deletion_id) and uid in the answer
  };
  std::vector<Step> consumer_state;  // calls of the consumer's API before the event comes
  struct Effect {
    std::string query;  // in the consumer's database
    int64_t before;
    int64_t after;
  };
  std::vector<Effect> effects;  // empty: the consumer has no use for the event
};

// The methods of the services for clients, and those of the services for each other, from their descriptors. Each is
// named like "user.v1.UserService/GetUser".
const std::vector<std::string>& PublicMethods();
const std::vector<std::string>& InternalMethods();

// All cases by file name, followed by those that the files of cases/every_method make. A file that is not a case ends
// the test program with a message.
const std::vector<Case>& Cases();
const std::vector<EventCase>& EventCases();

// The reason of the ErrorInfo; empty for a response.
std::string ReasonOf(const Case& contract);

}  // namespace crosskey::contract
