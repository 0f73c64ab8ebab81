// The values of what a case calls ${ada.id}. They are known only when the state has been made.
#pragma once

#include <map>
#include <string>

#include "tests/contract/case.h"

namespace crosskey::contract {

class Variables {
 public:
  void Set(const std::string& name, const std::string& value) { values_[name] = value; }
  // Fails the test, and returns an empty text, if the variable is not set.
  std::string Get(const std::string& name) const;

  const std::map<std::string, std::string>& values() const { return values_; }

  // Replaces every ${name}, also in the names of members. A name that is not set fails the test.
  std::string Fill(const std::string& text) const;
  Json Fill(const Json& json) const;

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace crosskey::contract
