// What the body of a transaction returns, and whether the transaction then commits or rolls back.
#pragma once

#include <type_traits>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace crosskey::db {

// A body returns this to undo its transaction without an error: it has found something that the caller acts on.
template <typename Finding>
struct RollBack {
  Finding finding;
};

// For a body that either commits or rolls back. It returns absl::StatusOr<Either<T, Finding>>: OK with a T commits, OK
// with a RollBack undoes everything. In both cases the caller gets what the body returned.
template <typename T, typename Finding>
using Either = std::variant<T, RollBack<Finding>>;

template <typename T>
struct MayRollBack : std::false_type {};
template <typename T, typename Finding>
struct MayRollBack<std::variant<T, RollBack<Finding>>> : std::true_type {};

// How a transaction ends after its body.
enum class End { kCommit, kRollBack };

// Returns the end that the result of a body asks for. If the result is an error, returns it; it undoes the transaction.
inline absl::StatusOr<End> EndOf(const absl::Status& result) {
  if (!result.ok()) return result;
  return End::kCommit;
}
template <typename T>
absl::StatusOr<End> EndOf(const absl::StatusOr<T>& result) {
  if (!result.ok()) return result.status();
  if constexpr (MayRollBack<T>::value) {
    if (result->index() == 1) return End::kRollBack;
  }
  return End::kCommit;
}

}  // namespace crosskey::db
