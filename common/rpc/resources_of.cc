#include "common/rpc/resources_of.h"

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace crosskey::rpc {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr size_t kNames = 10;

class Finder {
 public:
  // `of_id`: the type that a plain `id` is of, "post".
  void Look(const Message& message, const std::string& of_id, bool goes_deeper) {
    const auto& reflection = *message.GetReflection();
    std::vector<const FieldDescriptor*> fields;
    reflection.ListFields(message, &fields);
    for (const FieldDescriptor* field : fields) {
      const std::string& name = field->name();
      if (field->type() == FieldDescriptor::TYPE_INT64 && !field->is_repeated()) {
        Take(name, reflection.GetInt64(message, field), of_id);
      } else if (field->type() == FieldDescriptor::TYPE_MESSAGE && goes_deeper && !field->is_map()) {
        const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
        for (int i = 0; i < count; ++i) {
          Look(field->is_repeated() ? reflection.GetRepeatedMessage(message, field, i)
                                    : reflection.GetMessage(message, field),
               std::string(field->is_repeated() ? absl::StripSuffix(name, "s") : name), false);
        }
      }
    }
  }

  Resources found() && { return std::move(found_); }

 private:
  void Take(const std::string& field, int64_t id, const std::string& of_id) {
    if (id <= 0) return;
    if (field == "deletion_id") {
      found_.deletion_id = id;
    } else if (field == "id") {
      Add(of_id, id);
    } else if (absl::EndsWith(field, "_id")) {
      const std::string type(absl::StripSuffix(field, "_id"));
      Add(type.substr(type.rfind('_') + 1), id);  // "pinned_post_id" names a post
    }
  }

  void Add(const std::string& type, int64_t id) {
    std::string name = absl::StrCat(type, "s/", id);
    if (!seen_.insert(name).second) return;
    if (found_.names.size() < kNames) {
      found_.names.push_back(std::move(name));
    } else {
      ++found_.more;
    }
  }

  std::set<std::string> seen_;
  Resources found_;
};

// "DeletePost" -> "post"; but a request of the other service says the type: "user.v1.User".
std::string TypeOf(const std::string& method, const Message& request) {
  const FieldDescriptor* type = request.GetDescriptor()->FindFieldByName("type");
  if (type != nullptr && type->type() == FieldDescriptor::TYPE_STRING && !type->is_repeated()) {
    const std::string name = request.GetReflection()->GetString(request, type);
    return absl::AsciiStrToLower(name.substr(name.rfind('.') + 1));
  }
  const auto second = std::find_if(method.begin() + (method.empty() ? 0 : 1), method.end(),
                                   [](const char c) { return absl::ascii_isupper(static_cast<unsigned char>(c)); });
  return absl::AsciiStrToLower(std::string(second, method.end()));
}

}  // namespace

Resources ResourcesOf(const std::string& method, const Message& request, const Message* response) {
  Finder finder;
  if (response != nullptr) finder.Look(*response, TypeOf(method, request), true);
  finder.Look(request, TypeOf(method, request), true);
  return std::move(finder).found();
}

}  // namespace crosskey::rpc
