// Types of numbers that must not be taken for each other. An enum class without enumerators is a number with a type of
// its own: it can be compared, but is not converted to another type implicitly.
#pragma once

#include <cstdint>
#include <type_traits>

namespace crosskey {

enum class RowId : int64_t {};       // of a row, whatever its table; positive
enum class DeletionId : int64_t {};  // one run of the deletion protocol: ascends for ever
enum class Sequence : int64_t {};    // an event's place in its feed: 1, 2, 3 and so on

template <typename Id, typename = std::enable_if_t<std::is_enum_v<Id>>>
constexpr int64_t Value(Id id) {
  return static_cast<int64_t>(id);
}

// The place `count` events further on.
constexpr Sequence After(Sequence place, int64_t count = 1) { return Sequence{Value(place) + count}; }

}  // namespace crosskey
