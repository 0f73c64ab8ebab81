// What the body of a transaction returns, and what that says about its end.
#pragma once

#include <type_traits>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace crosskey::db {

// A body's way to undo its transaction without an error: it has found out something that the caller acts on.
template <typename Finding>
struct RollBack {
  Finding finding;
};

// What a body that may do either returns, as absl::StatusOr<Either<T, Finding>>: OK with a T commits, OK with a RollBack
// undoes everything, and both reach the caller.
template <typename T, typename Finding>
using Either = std::variant<T, RollBack<Finding>>;

template <typename T>
struct MayRollBack : std::false_type {};
template <typename T, typename Finding>
struct MayRollBack<std::variant<T, RollBack<Finding>>> : std::true_type {};

// How a transaction ends after its body.
enum class End { kCommit, kRollBack };

// The end that a body's result stands for, or the error that undoes the transaction.
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
