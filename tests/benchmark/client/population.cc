#include "tests/benchmark/client/population.h"

#include <fstream>
#include <stdexcept>

#include <nlohmann/json.hpp>

namespace crosskey::benchmark {

Population ReadPopulation(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  const nlohmann::json json = nlohmann::json::parse(file);
  Population population;
  json.at("listed_users").get_to(population.listed_users);
  json.at("written_users").get_to(population.written_users);
  json.at("read_posts").get_to(population.read_posts);
  json.at("like_posts").get_to(population.like_posts);
  json.at("liked_posts").get_to(population.liked_posts);
  json.at("hot_user").get_to(population.hot_user);
  json.at("posts_each").get_to(population.posts_each);
  return population;
}

void WritePopulation(const Population& population, const std::string& path) {
  std::ofstream file(path);
  file << nlohmann::json{{"listed_users", population.listed_users}, {"written_users", population.written_users},
                         {"read_posts", population.read_posts},     {"like_posts", population.like_posts},
                         {"liked_posts", population.liked_posts},   {"hot_user", population.hot_user},
                         {"posts_each", population.posts_each}};
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

}  // namespace crosskey::benchmark
