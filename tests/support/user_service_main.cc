// user-service as the tests run it: with fault points, which the flags of faults.h set.
#include "tests/support/faults.h"
#include "tests/support/grpc_library.h"
#include "user-service/app.h"

int main(int argc, char** argv) {
  const crosskey::testing::GrpcLibrary library;
  crosskey::testing::TakeFaultFlags(argc, argv);
  crosskey::server::Hooks hooks;
  hooks.seam = crosskey::testing::Seam();
  return crosskey::users::Main(argc, argv, hooks);
}
