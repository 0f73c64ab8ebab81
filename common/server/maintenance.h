// The commands `check` and `repair`.
#pragma once

#include "common/process/options.h"
#include "common/server/command.h"

namespace crosskey::server {

// Exit codes of both: 0 nothing is wrong (any more), 1 it could not be done, 3 something is wrong and was not mended.
inline constexpr int kWrong = 3;

// Prints what is wrong, as text or with --json as one JSON object, on stdout.
int RunCheck(const process::Options& options, const Program& program);
// The same, and with --apply mends it.
int RunRepair(const process::Options& options, const Program& program);

}  // namespace crosskey::server
