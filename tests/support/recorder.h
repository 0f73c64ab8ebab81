// Counts the statements and rows of a service's SQL, by statement name.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <ostream>
#include <string>

#include "common/db/connection.h"

namespace crosskey::testing {

struct Counted {
  int64_t statements = 0;
  int64_t rows = 0;  // returned by queries, changed by others
  friend std::ostream& operator<<(std::ostream& out, const Counted& counted) {
    return out << counted.statements << " statements, " << counted.rows << " rows";
  }
  bool operator==(const Counted& o) const { return statements == o.statements && rows == o.rows; }
};

// Thread-safe. Hand observer() to Seam().
class Recorder {
 public:
  struct Sample {
    db::Sql sql;
    db::Rendered rendered;  // of the execution with the most values
  };

  std::function<void(const db::Sql&, const db::Rendered&, int64_t rows)> observer() {
    return [this](const db::Sql& sql, const db::Rendered& rendered, int64_t rows) {
      std::lock_guard lock(mutex_);
      counted_[sql.name].statements += 1;
      counted_[sql.name].rows += rows;
      Sample& sample = samples_.try_emplace(sql.name, Sample{sql, rendered}).first->second;
      if (rendered.values.size() >= sample.rendered.values.size()) sample = {sql, rendered};
    };
  }

  void Reset() {
    std::lock_guard lock(mutex_);
    counted_.clear();
  }
  std::map<std::string, Counted> counted() const {
    std::lock_guard lock(mutex_);
    return counted_;
  }
  std::map<std::string, Sample> samples() const {
    std::lock_guard lock(mutex_);
    return samples_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Counted> counted_;
  std::map<std::string, Sample> samples_;
};

}  // namespace crosskey::testing
