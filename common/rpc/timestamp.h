// Converts stored times, which are microseconds since 1970, to those of Protobuf.
#pragma once

#include <cstdint>

#include <google/protobuf/timestamp.pb.h>

namespace crosskey::rpc {

inline void SetTimestamp(int64_t micros, google::protobuf::Timestamp* out) {
  out->set_seconds(micros / 1'000'000);
  out->set_nanos(static_cast<int32_t>(micros % 1'000'000 * 1000));
}

}  // namespace crosskey::rpc
