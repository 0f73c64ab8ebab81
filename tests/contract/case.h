// One contract between a consumer and a provider, as a file of tests/contract/cases says it. README.md explains the format.
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
  std::optional<Json> response;  // this, or an error:
  std::optional<Json> status;    // google.rpc.Status, with the name of the code
  std::string consumer_sees;     // of an error between the services: the reason that the consumer makes of it
  std::map<std::string, std::string> matchers;  // by path
  bool of_every_method = false;                 // made of a file of cases/every_method
};

// One event between the services, as a file of tests/contract/events says it.
struct EventCase {
  std::string file;
  std::string description;
  std::string producer;
  std::string consumer;
  std::vector<std::string> state;  // of the producer
  std::string rpc;                 // what makes it publish the event
  Json request;
  Json event;  // event.v1.Event
  std::map<std::string, std::string> matchers;
  struct Step {
    std::string rpc;
    Json request;
    std::string as;  // what the answer binds: its resource's id (or deletion_id) and uid
  };
  std::vector<Step> consumer_state;  // calls of the consumer's API before the event comes
  struct Effect {
    std::string query;  // in the consumer's database
    int64_t before;
    int64_t after;
  };
  std::vector<Effect> effects;  // none: the consumer has no use for the event
};

// "user.v1.UserService/GetUser": of the services for clients, and of those between the services, as their descriptors say.
const std::vector<std::string>& PublicMethods();
const std::vector<std::string>& InternalMethods();

// All of them, by file name; then those that the errors of every method make. A file that is no case ends the test program
// with a message.
const std::vector<Case>& Cases();
const std::vector<EventCase>& EventCases();

// The reason of the ErrorInfo; empty for a response.
std::string ReasonOf(const Case& contract);

}  // namespace crosskey::contract
