// user-service as the tests run it: with fault points, which the flags of faults.h set.
#include "tests/support/faults.h"
#include "user-service/app.h"

int main(int argc, char** argv) {
  crosskey::testing::TakeFaultFlags(argc, argv);
  crosskey::server::Hooks hooks;
  hooks.seam = crosskey::testing::Seam();
  return crosskey::users::Main(argc, argv, hooks);
}
