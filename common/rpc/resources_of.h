// Which resources a call was about, for the audit record.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <google/protobuf/message.h>

namespace crosskey::rpc {

// The resources that the messages of a call name, each once: at first those of the response, because a create has its
// ids there.
struct Resources {
  std::vector<std::string> names;  // "posts/5": the first 10
  int64_t more = 0;                // how many are left out
  int64_t deletion_id = 0;         // 0: none
};

// Goes by the rules of the wire: a message with an `id` is a resource that has the name of its field (`post`, `posts`),
// `user_id` names a user, and the `id` of a request is of the type that its field `type` says or that its method ends
// with (DeletePost). A
// message that a field holds is looked at too, one level deep. Texts are not looked at. `response` may be null.
Resources ResourcesOf(const std::string& method, const google::protobuf::Message& request,
                      const google::protobuf::Message* response);

}  // namespace crosskey::rpc
