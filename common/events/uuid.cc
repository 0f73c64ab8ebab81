#include "common/events/uuid.h"

#include <uuid/uuid.h>

namespace crosskey {

std::string NewUuid() {
  uuid_t bytes;
  uuid_generate_random(bytes);
  char text[37];
  uuid_unparse_lower(bytes, text);
  return text;
}

}  // namespace crosskey
