#include "common/events/uuid.h"

#include <cstdint>
#include <cstdio>

#include "absl/random/random.h"

namespace crosskey {

std::string NewUuid() {
  // Seeded by the system once for each thread. libuuid asks the system for each one, which cost 3 % of a CreatePost.
  static thread_local absl::BitGen random;
  const auto high = absl::Uniform<uint64_t>(random), low = absl::Uniform<uint64_t>(random);
  // Version 4 and variant 10 of RFC 9562, section 5.4.
  const uint64_t versioned = (high & ~uint64_t{0xf000}) | 0x4000;
  const uint64_t varied = (low & ~(uint64_t{3} << 62)) | (uint64_t{2} << 62);
  char text[37];
  std::snprintf(text, sizeof(text), "%08x-%04x-%04x-%04x-%012llx", static_cast<unsigned>(versioned >> 32),
                static_cast<unsigned>(versioned >> 16 & 0xffff), static_cast<unsigned>(versioned & 0xffff),
                static_cast<unsigned>(varied >> 48), static_cast<unsigned long long>(varied & 0xffffffffffff));
  return text;
}

}  // namespace crosskey
