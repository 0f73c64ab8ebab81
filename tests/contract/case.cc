#include "tests/contract/case.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

namespace crosskey::contract {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = fs::path(CROSSKEY_SOURCE_DIR) / "tests" / "contract";

// Takes the members of a file one by one; what is missing, left or of another type is a mistake in it.
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

const std::vector<Case>& Cases() {
  static const auto* const cases = [] {
    auto* all = new std::vector<Case>();
    for (const fs::path& file : FilesBelow(kFolder / "cases")) all->push_back(ReadCase(file));
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
