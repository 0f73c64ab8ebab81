#include "user-service/app.h"

int main(int argc, char** argv) { return crosskey::users::Main(argc, argv); }
