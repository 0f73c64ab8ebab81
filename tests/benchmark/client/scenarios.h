// What is done beside a load: filling the databases, and deleting users.
#pragma once

#include <nlohmann/json.hpp>

#include "tests/benchmark/client/load.h"
#include "tests/benchmark/measure/process_usage.h"

namespace crosskey::benchmark {

// All of these throw std::runtime_error when a call fails.

// Creates what Population names, except liked posts: as many users that are listed, and that own the posts to like, as
// `listed` says, each with `posts_each` posts.
Population Fill(const Servers& servers, int listed, int written, int posts_each);

// A user with as many posts.
int64_t FillUser(const Servers& servers, int64_t posts);

// Deletes users with one post each, one after the other: p50_ms and p99_ms of DeleteUser.
nlohmann::json DeleteSmall(const Servers& servers, int times);

// Deletes a user, and waits until the rows are gone: delete_ms of the call, and rows_per_second from its beginning to
// the deletion's end. Where there is a load, it runs for `idle` before and for some seconds of the reclaim. Its calls
// are summed up for both times. If the reclaim takes longer than the load, there is no rows_per_second.
nlohmann::json DeleteLarge(const Servers& servers, int64_t user_id, Load* load, Clock::duration idle,
                           ProcessUsage& usage);

}  // namespace crosskey::benchmark
