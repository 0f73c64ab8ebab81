// A shorter form of an answer, for storing it: what its request says too is left out.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include <google/protobuf/message.h>

namespace crosskey::idempotency {

// Shorter texts are not left out: what stands for a text has some 80 bytes.
inline constexpr size_t kLeastLeftOut = 256;

// The short form of an answer: each text of at least kLeastLeftOut bytes that is also a text of the request is replaced
// by its SHA-256. nullopt: there is none, and the answer is stored as it is, serialized.
//
// The short form begins with a byte with which no message can begin, so a release that does not know it takes it for
// undecodable and never for an answer.
std::optional<std::string> LeaveOut(const google::protobuf::Message& answer, const google::protobuf::Message& request);

// Makes the answer of either form again. `request` has to be equal to the one of LeaveOut. False: that is not possible.
// The answer is undefined then.
bool FillIn(const std::string& bytes, const google::protobuf::Message& request, google::protobuf::Message& answer);

}  // namespace crosskey::idempotency
