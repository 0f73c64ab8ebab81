#include "post-service/app.h"

// Read by jemalloc: what is free is given back after a second, and not after ten. So after a burst, or an attack, a
// process is as small as before.
extern "C" {
extern const char* const malloc_conf;
const char* const malloc_conf = "dirty_decay_ms:1000,muzzy_decay_ms:0";
}

int main(int argc, char** argv) { return crosskey::posts::Main(argc, argv); }
