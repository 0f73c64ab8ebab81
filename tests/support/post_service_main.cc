// post-service as the tests run it: with fault points, which the flags of faults.h set.
#include "post-service/app.h"
#include "tests/support/faults.h"
#include "tests/support/grpc_library.h"

int main(int argc, char** argv) {
  const crosskey::testing::GrpcLibrary library;
  crosskey::testing::TakeFaultFlags(argc, argv);
  crosskey::server::Hooks hooks;
  hooks.seam = crosskey::testing::Seam();
  return crosskey::posts::Main(argc, argv, hooks);
}
