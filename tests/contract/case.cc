#include "tests/contract/case.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include <google/protobuf/descriptor.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/contract/states.h"

namespace crosskey::contract {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = fs::path(CROSSKEY_SOURCE_DIR) / "tests" / "contract";

// Takes the members of a file one by one. A member that is missing, left over or of a wrong type is a mistake in the
// file, which ends the program.
class Reader {
 public:
  explicit Reader(const fs::path& path) : path_(path), json_(Json::parse(std::ifstream(path), nullptr, false)) {
    if (!json_.is_object()) Mistake("is no JSON object");
  }

  std::optional<Json> TakeIfThere(const std::string& name) {
    taken_.insert(name);
    return json_.contains(name) ? std::optional<Json>(json_[name]) : std::nullopt;
  }
  Json Take(const std::string& name) {
    const std::optional<Json> value = TakeIfThere(name);
    if (!value.has_value()) Mistake("has no " + name);
    return *value;
  }
  std::string Text(const std::string& name) { return As<std::string>(Take(name), name); }
  std::string TextIfThere(const std::string& name) {
    const std::optional<Json> value = TakeIfThere(name);
    return value.has_value() ? As<std::string>(*value, name) : "";
  }
  template <typename T>
  T Optional(const std::string& name) {
    const std::optional<Json> value = TakeIfThere(name);
    return value.has_value() ? As<T>(*value, name) : T();
  }
  void End() const {
    for (const auto& [name, value] : json_.items()) {
      if (taken_.count(name) == 0) Mistake("has an unknown member " + name);
    }
  }
  template <typename T>
  T As(const Json& value, const std::string& name) const {
    try {
      return value.get<T>();
    } catch (const Json::exception&) {
      Mistake("has a member of a wrong type: " + name);
    }
  }
  [[noreturn]] void Mistake(const std::string& what) const {
    std::fprintf(stderr, "%s %s\n", path_.c_str(), what.c_str());
    std::exit(1);
  }

 private:
  const fs::path path_;
  Json json_;
  std::set<std::string> taken_;
};

std::vector<fs::path> FilesBelow(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

Case ReadCase(const fs::path& path) {
  Reader reader(path);
  Case read;
  read.file = fs::relative(path, kFolder / "cases").string();
  read.description = reader.Text("description");
  read.consumer = reader.Text("consumer");
  read.provider = reader.Text("provider");
  read.rpc = reader.Text("rpc");
  read.state = reader.Optional<std::vector<std::string>>("state");
  read.request = reader.Take("request");
  read.response = reader.TakeIfThere("response");
  read.status = reader.TakeIfThere("status");
  read.consumer_sees = reader.TextIfThere("consumer_sees");
  read.matchers = reader.Optional<std::map<std::string, std::string>>("matchers");
  reader.End();
  if (read.response.has_value() == read.status.has_value()) reader.Mistake("must have a response or a status");
  if (path.parent_path() != kFolder / "cases" / (read.consumer == "client" ? "client" : "services") / read.rpc) {
    reader.Mistake("lies in another folder than its rpc says");
  }
  return read;
}

// A file of cases/every_method: an error that every method gives, whatever it does.
struct CommonError {
  std::string file;
  std::string description;
  std::vector<std::string> state;
  Json status;
  std::map<std::string, std::string> calls;          // by method: the name of the case whose call is made
  std::map<std::string, std::string> consumer_sees;  // by method; empty: the error has no cases between the services
  bool of_writes = false;                            // methods that only read do not give it
};

CommonError ReadCommonError(const fs::path& path) {
  Reader reader(path);
  CommonError read;
  read.file = fs::relative(path, kFolder / "cases").string();
  read.description = reader.Text("description");
  read.state = reader.As<std::vector<std::string>>(reader.Take("state"), "state");
  read.status = reader.Take("status");
  read.calls = reader.Optional<std::map<std::string, std::string>>("calls");
  read.consumer_sees = reader.Optional<std::map<std::string, std::string>>("consumer_sees");
  read.of_writes = reader.Optional<bool>("of_writes");
  reader.End();
  return read;
}

[[noreturn]] void Mistake(const CommonError& error, const std::string& what) {
  std::fprintf(stderr, "%s %s\n", error.file.c_str(), what.c_str());
  std::exit(1);
}

// A case that makes the call of `success` and meets the error instead.
Case WithError(const Case& success, const CommonError& error) {
  Case made = success;
  made.file = absl::StrCat(error.file, ", the call of ", success.file);
  made.description = error.description;
  made.state.insert(made.state.end(), error.state.begin(), error.state.end());
  made.response.reset();
  made.status = Json::parse(absl::StrReplaceAll(error.status.dump(), {{"${provider}", success.provider}}));
  made.matchers.clear();
  made.of_every_method = true;
  if (success.consumer == "client") return made;
  const auto sees = error.consumer_sees.find(success.rpc);
  if (sees == error.consumer_sees.end()) Mistake(error, "does not say what the consumer sees of " + success.rpc);
  made.consumer_sees = sees->second;
  return made;
}

bool OnlyReads(const std::string& rpc) {
  const std::string method = rpc.substr(rpc.find('/') + 1);
  return method.rfind("Get", 0) == 0 || method.rfind("List", 0) == 0 || method.rfind("BatchGet", 0) == 0;
}

// Whether the error may take the place of the answer of `success`. The error brings an environment of its own, and a
// case can have only one, so `success` must not need another.
bool CanMeet(const Case& success, const CommonError& error) {
  if (!success.response.has_value() || EnvironmentOf(success.state) != Environment::kNormal) return false;
  if (success.consumer != "client" && error.consumer_sees.empty()) return false;
  if (error.of_writes && success.consumer != "client" && error.consumer_sees.count(success.rpc) == 0) return false;
  if (error.of_writes && success.consumer == "client" && OnlyReads(success.rpc)) return false;
  const auto named = error.calls.find(success.rpc);
  return named == error.calls.end() || fs::path(success.file).stem() == named->second;
}

// Makes a case for each consumer and each provider of a method, with the call of the first case that can meet the
// error.
std::vector<Case> OfEveryMethod(const CommonError& error, const std::vector<Case>& cases) {
  std::vector<std::string> methods = PublicMethods();
  methods.insert(methods.end(), InternalMethods().begin(), InternalMethods().end());
  std::set<std::string> left;
  for (const auto* by_method : {&error.calls, &error.consumer_sees}) {
    for (const auto& [method, unused] : *by_method) left.insert(method);
  }
  std::vector<Case> made;
  for (const std::string& method : methods) {
    std::set<std::pair<std::string, std::string>> done;
    for (const Case& each : cases) {
      if (each.rpc != method || !CanMeet(each, error)) continue;
      if (done.insert({each.consumer, each.provider}).second) made.push_back(WithError(each, error));
    }
    if (!done.empty()) left.erase(method);
  }
  if (!left.empty()) Mistake(error, "names a method, or a case, that there is not: " + *left.begin());
  return made;
}

std::vector<std::string> MethodsOf(const std::vector<std::string>& services) {
  std::vector<std::string> methods;
  for (const std::string& name : services) {
    const auto* service = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
    for (int i = 0; i < service->method_count(); ++i) {
      methods.push_back(absl::StrCat(name, "/", service->method(i)->name()));
    }
  }
  return methods;
}

EventCase ReadEventCase(const fs::path& path) {
  Reader reader(path);
  EventCase read;
  read.file = fs::relative(path, kFolder / "events").string();
  read.description = reader.Text("description");
  read.producer = reader.Text("producer");
  read.consumer = reader.Text("consumer");
  read.state = reader.Optional<std::vector<std::string>>("state");
  const Json when = reader.Take("when");
  if (!when.contains("rpc") || !when.contains("request")) reader.Mistake("has a when without rpc or request");
  read.rpc = reader.As<std::string>(when["rpc"], "when.rpc");
  read.request = when["request"];
  read.event = reader.Take("event");
  read.matchers = reader.Optional<std::map<std::string, std::string>>("matchers");
  for (const Json& step : reader.TakeIfThere("consumer_state").value_or(Json::array())) {
    read.consumer_state.push_back({reader.As<std::string>(step.value("rpc", Json()), "consumer_state.rpc"),
                                   step.value("request", Json()), step.value("as", "")});
  }
  for (const Json& effect : reader.Take("effects")) {
    read.effects.push_back({reader.As<std::string>(effect.value("query", Json()), "effects.query"),
                            reader.As<int64_t>(effect.value("before", Json()), "effects.before"),
                            reader.As<int64_t>(effect.value("after", Json()), "effects.after")});
  }
  reader.End();
  return read;
}

}  // namespace

const std::vector<std::string>& PublicMethods() {
  static const auto* const methods =
      new std::vector<std::string>(MethodsOf({"user.v1.UserService", "post.v1.PostService"}));
  return *methods;
}

const std::vector<std::string>& InternalMethods() {
  static const auto* const methods =
      new std::vector<std::string>(MethodsOf({"relation.v1.ReferenceService", "event.v1.EventService"}));
  return *methods;
}

const std::vector<Case>& Cases() {
  static const auto* const cases = [] {
    auto* all = new std::vector<Case>();
    for (const char* consumers : {"client", "services"}) {
      for (const fs::path& file : FilesBelow(kFolder / "cases" / consumers)) all->push_back(ReadCase(file));
    }
    for (const fs::path& file : FilesBelow(kFolder / "cases" / "every_method")) {
      const std::vector<Case> made = OfEveryMethod(ReadCommonError(file), *all);
      all->insert(all->end(), made.begin(), made.end());
    }
    return all;
  }();
  return *cases;
}

const std::vector<EventCase>& EventCases() {
  static const auto* const cases = [] {
    auto* all = new std::vector<EventCase>();
    for (const fs::path& file : FilesBelow(kFolder / "events")) all->push_back(ReadEventCase(file));
    return all;
  }();
  return *cases;
}

std::string ReasonOf(const Case& contract) {
  if (!contract.status.has_value()) return "";
  for (const Json& detail : contract.status->value("details", Json::array())) {
    if (detail.value("@type", "") == "type.googleapis.com/google.rpc.ErrorInfo") return detail.value("reason", "");
  }
  return "";
}

}  // namespace crosskey::contract
