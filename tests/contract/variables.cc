#include "tests/contract/variables.h"

#include <gtest/gtest.h>

namespace crosskey::contract {

std::string Variables::Get(const std::string& name) const {
  const auto found = values_.find(name);
  if (found != values_.end()) return found->second;
  ADD_FAILURE() << "the state does not give ${" << name << "}";
  return "";
}

std::string Variables::Fill(const std::string& text) const {
  std::string filled;
  size_t at = 0;
  while (true) {
    const size_t begin = text.find("${", at);
    const size_t end = begin == std::string::npos ? begin : text.find('}', begin);
    if (end == std::string::npos) return filled + text.substr(at);
    filled += text.substr(at, begin - at) + Get(text.substr(begin + 2, end - begin - 2));
    at = end + 1;
  }
}

Json Variables::Fill(const Json& json) const {
  if (json.is_string()) return Fill(json.get<std::string>());
  if (!json.is_structured()) return json;
  Json filled = json.is_array() ? Json::array() : Json::object();
  for (const auto& [name, value] : json.items()) {
    if (json.is_array()) {
      filled.push_back(Fill(value));
    } else {
      filled[Fill(name)] = Fill(value);
    }
  }
  return filled;
}

}  // namespace crosskey::contract
