// SHA-256 of a text: by it tokens are found, so that nothing holds a token itself.
#pragma once

#include <array>
#include <cstring>
#include <string>

#include "absl/strings/string_view.h"

namespace crosskey::access {

using Digest = std::array<unsigned char, 32>;

// A SHA-256 is as good as random, so any of its bytes are a hash.
struct DigestHash {
  size_t operator()(const Digest& digest) const {
    size_t hash = 0;
    std::memcpy(&hash, digest.data(), sizeof(hash));
    return hash;
  }
};

Digest Sha256(absl::string_view text);

}  // namespace crosskey::access
