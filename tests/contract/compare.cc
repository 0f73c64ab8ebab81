#include "tests/contract/compare.h"

#include <algorithm>
#include <regex>

#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace crosskey::contract {
namespace {

const char* const kCodes[] = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

constexpr char kOptional[] = "optional";

const std::map<std::string, std::string>& Kinds() {
  static const auto* const kinds =
      new std::map<std::string, std::string>{{"uuid", "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"},
                                             {"timestamp", R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z)"},
                                             {"etag", "v[0-9]+"},
                                             {"id", "[1-9][0-9]*"},
                                             {"text", "[^]+"},
                                             {"incident", "[0-9a-f]{16}"},
                                             {kOptional, "[^]*"}};
  return *kinds;
}

// The pattern of a path: [*] is any index, and * any name.
std::regex PatternOf(const std::string& path) {
  return std::regex(absl::StrReplaceAll(
      path, {{"[*]", R"(\[\d+\])"}, {"*", "[^.]+"}, {".", R"(\.)"}, {"[", R"(\[)"}, {"]", R"(\])"}}));
}

class Comparison {
 public:
  explicit Comparison(const std::map<std::string, std::string>& matchers) {
    for (const auto& [path, kind] : matchers) matchers_.emplace_back(PatternOf(path), kind);
  }

  void Compare(const std::string& path, const Json& expected, const Json& actual) {
    const std::string kind = KindAt(path);
    if (!kind.empty()) {
      Match(path, kind, expected, actual);
    } else if (expected.is_object() && actual.is_object()) {
      for (const auto& [name, value] : expected.items()) {
        const std::string below = path.empty() ? name : absl::StrCat(path, ".", name);
        if (actual.contains(name)) {
          Compare(below, value, actual[name]);
        } else if (KindAt(below) != kOptional) {
          Add(below, value.dump(), "nothing");
        }
      }
      for (const auto& [name, value] : actual.items()) {
        const std::string below = path.empty() ? name : absl::StrCat(path, ".", name);
        if (!expected.contains(name) && KindAt(below) != kOptional) Add(below, "nothing", value.dump());
      }
    } else if (expected.is_array() && actual.is_array() && expected.size() == actual.size()) {
      for (size_t i = 0; i < expected.size(); ++i) Compare(absl::StrCat(path, "[", i, "]"), expected[i], actual[i]);
    } else if (expected != actual) {
      Add(path, expected.dump(), actual.dump());
    }
  }

  std::string differences() const { return differences_; }

 private:
  std::string KindAt(const std::string& path) const {
    for (const auto& [pattern, kind] : matchers_) {
      if (std::regex_match(path, pattern)) return kind;
    }
    return "";
  }
  void Match(const std::string& path, const std::string& kind, const Json& expected, const Json& actual) {
    const auto found = Kinds().find(kind);
    if (found == Kinds().end()) return Add(path, "a known kind of value", kind);
    const std::regex pattern(found->second);
    // The expected value is the file's example, with which the consumer is tested. So it must be of that kind as well.
    for (const Json* value : {&expected, &actual}) {
      if (!value->is_string() || !std::regex_match(value->get<std::string>(), pattern)) Add(path, kind, value->dump());
    }
  }
  void Add(const std::string& path, const std::string& expected, const std::string& actual) {
    absl::StrAppend(&differences_, path.empty() ? "(all)" : path, ": expected ", expected, ", got ", actual, "\n");
  }

  std::vector<std::pair<std::regex, std::string>> matchers_;
  std::string differences_;
};

}  // namespace

std::string StatusDifferences(const Json& expected, const Json& actual) {
  static const auto* const matchers = new std::map<std::string, std::string>{
      {"details[*].description", "text"},
      {"details[*].metadata.description", "text"},
      {"details[*].field_violations[*].description", "text"},
      {"details[*].violations[*].description", "text"},
      {"details[*].metadata.incident", "incident"},
      {"details[*].request_id", "incident"},
  };
  return Differences(expected, actual, *matchers);
}

std::string Differences(const Json& expected, const Json& actual, const std::map<std::string, std::string>& matchers) {
  Comparison comparison(matchers);
  comparison.Compare("", expected, actual);
  return comparison.differences();
}

Json ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return Json::parse(text, nullptr, false);
}

Json Comparable(Json status) {
  status.erase("message");
  if (!status.contains("details")) return status;
  auto& details = status["details"];
  std::sort(details.begin(), details.end(),
            [](const Json& a, const Json& b) { return a.value("@type", "") < b.value("@type", ""); });
  return status;
}

Json ToJson(const grpc::Status& status) {
  const auto code = static_cast<size_t>(status.error_code());
  google::rpc::Status wire;
  EXPECT_TRUE(wire.ParseFromString(status.error_details()));
  Json json = Json::object();
  if (!status.error_details().empty()) {
    EXPECT_EQ(wire.code(), static_cast<int>(code));
    EXPECT_EQ(wire.message(), status.error_message());
    EXPECT_LT(status.error_details().size(), 4096u);
    json = ToJson(wire);
  }
  json["code"] = code < std::size(kCodes) ? kCodes[code] : "?";
  return Comparable(json);
}

void FromJson(const Json& json, google::protobuf::Message* message) {
  const auto status = google::protobuf::util::JsonStringToMessage(json.dump(), message);
  EXPECT_TRUE(status.ok()) << status.ToString() << "\n" << json.dump(1);
}

grpc::Status StatusFromJson(const Json& json) {
  Json numbered = json;
  const auto* const code = std::find(std::begin(kCodes), std::end(kCodes), json.value("code", ""));
  EXPECT_NE(code, std::end(kCodes)) << "no such code: " << json.dump();
  numbered["code"] = code - std::begin(kCodes);
  google::rpc::Status wire;
  FromJson(numbered, &wire);
  const bool has_details = wire.details_size() > 0;
  return {static_cast<grpc::StatusCode>(wire.code()), wire.message(), has_details ? wire.SerializeAsString() : ""};
}

}  // namespace crosskey::contract
