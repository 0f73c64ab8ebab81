// Ends gRPC's threads before the process ends.
#pragma once

#include <grpc/grpc.h>

namespace crosskey::testing {

// Holds the library open, and waits at its end until all its threads are over. Without it a thread of the library
// closes it when its last object is gone, and may still start and end threads while the process exits. LeakSanitizer
// then takes for a leak what only such a thread knows. One in each main.
class GrpcLibrary {
 public:
  GrpcLibrary() { ::grpc_init(); }
  GrpcLibrary(const GrpcLibrary&) = delete;
  GrpcLibrary& operator=(const GrpcLibrary&) = delete;
  ~GrpcLibrary() { ::grpc_shutdown_blocking(); }
};

}  // namespace crosskey::testing
