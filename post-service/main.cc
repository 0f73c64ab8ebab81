#include "post-service/app.h"

int main(int argc, char** argv) { return crosskey::posts::Main(argc, argv); }
