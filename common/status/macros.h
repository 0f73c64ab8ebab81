// Passing on an absl::Status.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Returns from the enclosing function when `expression` is not OK.
#define CROSSKEY_RETURN_IF_ERROR(expression) \
  CROSSKEY_RETURN_IF_ERROR_(CROSSKEY_CONCAT_(crosskey_status_, __LINE__), expression)

#define CROSSKEY_RETURN_IF_ERROR_(status, expression) \
  do {                                                \
    absl::Status status = (expression);               \
    if (!status.ok()) return status;                  \
  } while (false)

// Assigns the value of a StatusOr, or returns its status from the enclosing function.
#define CROSSKEY_ASSIGN_OR_RETURN(target, expression) \
  CROSSKEY_ASSIGN_OR_RETURN_(CROSSKEY_CONCAT_(crosskey_value_, __LINE__), target, expression)

#define CROSSKEY_ASSIGN_OR_RETURN_(value, target, expression) \
  auto value = (expression);                                  \
  if (!value.ok()) return std::move(value).status();          \
  target = *std::move(value)

#define CROSSKEY_CONCAT_(a, b) CROSSKEY_CONCAT_INNER_(a, b)
#define CROSSKEY_CONCAT_INNER_(a, b) a##b
