// The users and posts that the calls of a benchmark are about.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace crosskey::benchmark {

// Posts that are liked are not those that are read, because a like makes its post more work to read.
struct Population {
  std::vector<int64_t> listed_users;   // ListPosts: each has `posts_each` posts, and gets no more
  std::vector<int64_t> written_users;  // CreatePost: these get more posts
  std::vector<int64_t> read_posts;     // GetPost: of listed users
  std::vector<int64_t> like_posts;     // LikePost
  std::vector<int64_t> liked_posts;    // GetLikedPost: each has more than 10 likes; may be empty
  int64_t hot_user = 0;                // CreatePostForHotUser
  int posts_each = 0;
};

// Both throw std::runtime_error if the file cannot be used.
Population ReadPopulation(const std::string& path);
void WritePopulation(const Population& population, const std::string& path);

}  // namespace crosskey::benchmark
