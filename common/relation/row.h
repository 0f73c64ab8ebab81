// Rows as the mechanism sees them.
#pragma once

#include <map>
#include <string>

#include "common/status/ids.h"

namespace crosskey::relation {

struct Row {
  RowId id{};
  std::string uid;  // names this incarnation of the id
};

// Numbers of rows, by the full name of the relationship.
using RowCounts = std::map<std::string, int64_t>;

// What a finished reclaim reports.
struct Reclaimed {
  DeletionId deletion_id{};
  Row parent;
  RowCounts rows;  // removed, or set to null
};

}  // namespace crosskey::relation
