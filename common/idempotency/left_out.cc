#include "common/idempotency/left_out.h"

#include <map>
#include <memory>
#include <string_view>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <vector>

#include <openssl/sha.h>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace crosskey::idempotency {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// The short form is kMark, the number of texts that are left out, kEnd, and the answer with stand-ins for them. The
// first byte is a tag of a field 0 with a wire type 7, and there is neither.
constexpr char kMark[] = "\x07";
constexpr char kEnd = '\n';
// A stand-in is this and the SHA-256 of its text, in hexadecimal.
constexpr char kStandIn[] = "crosskey: left out: ";

std::string StandInFor(std::string_view text) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return absl::StrCat(kStandIn,
                      absl::BytesToHexString(std::string(reinterpret_cast<const char*>(digest), sizeof(digest))));
}

bool IsStandIn(const std::string& text) { return absl::StartsWith(text, kStandIn); }

// Calls `look(message, field, index, text)` with each text of a message and of those in it. `index` is its place in a
// repeated field. A `look` that is given a message that is not const may set the field. Values of maps are not looked
// at.
template <typename AnyMessage, typename Look>
void ForEachText(AnyMessage& message, const Look& look) {
  const auto* const reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const bool is_text = field->cpp_type() == FieldDescriptor::CPPTYPE_STRING;
    const bool is_message = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field->is_map();
    const int count = field->is_repeated() ? reflection->FieldSize(message, field) : 1;
    for (int i = 0; i < count && (is_text || is_message); ++i) {
      if (is_text) {
        std::string place;  // not used where texts are strings
        look(message, field, i,
             field->is_repeated() ? reflection->GetRepeatedStringReference(message, field, i, &place)
                                  : reflection->GetStringReference(message, field, &place));
      } else if constexpr (std::is_const_v<AnyMessage>) {
        ForEachText(field->is_repeated() ? reflection->GetRepeatedMessage(message, field, i)
                                         : reflection->GetMessage(message, field),
                    look);
      } else {
        ForEachText(field->is_repeated() ? *reflection->MutableRepeatedMessage(&message, field, i)
                                         : *reflection->MutableMessage(&message, field),
                    look);
      }
    }
  }
}

void Set(Message& message, const FieldDescriptor* field, int index, std::string text) {
  const auto* const reflection = message.GetReflection();
  if (field->is_repeated()) {
    reflection->SetRepeatedString(&message, field, index, std::move(text));
  } else {
    reflection->SetString(&message, field, std::move(text));
  }
}

// The texts of a request that are long enough. They stay where they are.
std::unordered_set<std::string_view> TextsOf(const Message& request) {
  std::unordered_set<std::string_view> texts;
  ForEachText(request, [&](const Message&, const FieldDescriptor*, int, const std::string& text) {
    if (text.size() >= kLeastLeftOut) texts.insert(text);
  });
  return texts;
}

}  // namespace

std::optional<std::string> LeaveOut(const Message& answer, const Message& request) {
  const std::unordered_set<std::string_view> texts = TextsOf(request);
  if (texts.empty()) return std::nullopt;
  const std::unique_ptr<Message> rest(answer.New());
  rest->CopyFrom(answer);
  int left_out = 0;
  bool is_ambiguous = false;  // a text looks like a stand-in
  ForEachText(*rest, [&](Message& message, const FieldDescriptor* field, int index, const std::string& text) {
    if (texts.count(text) > 0) {
      ++left_out;
      Set(message, field, index, StandInFor(text));
    } else if (IsStandIn(text)) {
      is_ambiguous = true;
    }
  });
  if (left_out == 0 || is_ambiguous) return std::nullopt;
  std::string bytes = absl::StrCat(kMark, left_out, std::string(1, kEnd));
  rest->AppendToString(&bytes);
  return bytes;
}

bool FillIn(const std::string& bytes, const Message& request, Message& answer) {
  if (!absl::StartsWith(bytes, kMark)) return answer.ParseFromString(bytes);
  const size_t end = bytes.find(kEnd);
  int left_out = 0;
  if (end == std::string::npos || !absl::SimpleAtoi(bytes.substr(1, end - 1), &left_out)) return false;
  if (!answer.ParseFromArray(bytes.data() + end + 1, static_cast<int>(bytes.size() - end - 1))) return false;
  std::map<std::string, std::string_view> texts;
  for (const std::string_view text : TextsOf(request)) texts[StandInFor(text)] = text;
  ForEachText(answer, [&](Message& message, const FieldDescriptor* field, int index, const std::string& text) {
    const auto found = texts.find(text);
    if (found == texts.end()) return;
    --left_out;
    Set(message, field, index, std::string(found->second));
  });
  // A text that nobody has filled in may be in a field that this release does not know.
  return left_out == 0;
}

}  // namespace crosskey::idempotency
