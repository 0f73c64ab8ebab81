// The client of the benchmark. Prints one JSON object. Ends with exit code 1, and the reason on stderr, if a connection
// or a call that prepares something fails. Failed calls of a load are counted in what is printed. See --help.
#include <cstdio>
#include <thread>

#include <CLI/CLI.hpp>

#include "tests/benchmark/client/calls.h"
#include "tests/benchmark/client/scenarios.h"

namespace crosskey::benchmark {
namespace {

struct Options {
  Servers servers;
  std::string ca;
  std::string token;
  std::string population;
  std::vector<std::string> groups;
  std::vector<std::string> watched;
  double seconds = 2;
  double warm_up = 0.5;
  int64_t seed = 0;
  int listed = 100;
  int written = 1000;
  int posts_each = 50;
  int64_t posts = 100'000;
  int64_t user = 0;
  int times = 20;
};

Clock::duration Seconds(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

std::unique_ptr<Load> NewLoad(const Options& options, const Population& population) {
  std::vector<Group> groups;
  for (const std::string& group : options.groups) groups.push_back(ParseGroup(group));
  const auto make = options.servers.http.empty() ? NewGrpcLoad : NewHttpLoad;
  return make(options.servers, groups, population, options.seed);
}

std::vector<Watched> ParseAllWatched(const Options& options) {
  std::vector<Watched> watched;
  for (const std::string& one : options.watched) watched.push_back(ParseWatched(one));
  return watched;
}

nlohmann::json RunLoad(const Options& options) {
  const Population population = ReadPopulation(options.population);
  ProcessUsage usage(ParseAllWatched(options));
  const std::unique_ptr<Load> load = NewLoad(options, population);
  load->Start();
  std::this_thread::sleep_for(Seconds(options.warm_up));
  usage.Begin();
  Window window{Clock::now(), {}};
  std::this_thread::sleep_for(Seconds(options.seconds));
  window.end = Clock::now();
  // Looked at while the load runs, because afterwards there would be no threads of calls. How many calls there were is
  // known only when it has stopped.
  nlohmann::json processes = usage.End();
  const double others_share = usage.OthersShare();
  load->Stop();
  nlohmann::json result;
  int64_t calls = 0;
  for (const auto& [name, samples] : load->samples()) {
    result["groups"][name] = samples.Summary(window);
    calls += samples.CallsIn(window);
  }
  for (nlohmann::json& process : processes) {
    if (calls > 0) process["cpu_us_per_call"] = process["cpu_seconds"].get<double>() * 1e6 / static_cast<double>(calls);
  }
  result["processes"] = processes;
  result["others_share"] = others_share;
  return result;
}

nlohmann::json RunDelete(const Options& options) {
  ProcessUsage usage(ParseAllWatched(options));
  if (options.groups.empty()) return DeleteLarge(options.servers, options.user, nullptr, {}, usage);
  const Population population = ReadPopulation(options.population);
  const std::unique_ptr<Load> load = NewLoad(options, population);
  return DeleteLarge(options.servers, options.user, load.get(), Seconds(options.seconds), usage);
}

int Main(int argc, char** argv) {
  Options options;
  nlohmann::json result;
  CLI::App app("Clients in a closed loop, for tests/run benchmark");
  app.require_subcommand(1);
  app.add_option("--users", options.servers.users, "address of user-service");
  app.add_option("--posts", options.servers.posts, "address of post-service");
  app.add_option("--http", options.servers.http, "address of an HTTP server that has both");
  app.add_option("--ca", options.ca, "file with the certificates that vouch for the servers: use TLS");
  app.add_option("--token", options.token, "bearer token of each call, with --ca");
  app.add_option("--population", options.population, "file with the users and posts");
  app.add_option("--group", options.groups, "NAME=METHOD:CLIENTS");
  app.add_option("--watch", options.watched, "NAME=PID[+PID...]");
  app.add_option("--seconds", options.seconds, "how long it is measured");
  app.add_option("--warm-up", options.warm_up, "seconds before that");
  app.add_option("--seed", options.seed, "chooses users and posts; no two loads that like posts may have the same");

  app.parse_complete_callback([&] {
    if (!options.ca.empty()) ConnectSecurely(options.ca, options.token);
  });
  CLI::App* load = app.add_subcommand("load", "calls for a while");
  load->callback([&] { result = RunLoad(options); });
  CLI::App* fill = app.add_subcommand("fill", "creates users and posts, and writes the file of the population");
  fill->add_option("--listed", options.listed);
  fill->add_option("--written", options.written);
  fill->add_option("--posts-each", options.posts_each);
  fill->callback([&] {
    WritePopulation(Fill(options.servers, options.listed, options.written, options.posts_each), options.population);
    result = {{"population", options.population}};
  });
  CLI::App* fill_user = app.add_subcommand("fill-user", "creates one user with many posts");
  fill_user->add_option("--count", options.posts);
  fill_user->callback([&] { result = {{"user", FillUser(options.servers, options.posts)}}; });
  CLI::App* delete_small = app.add_subcommand("delete-small", "creates and deletes users with one post each");
  delete_small->add_option("--times", options.times);
  delete_small->callback([&] { result = DeleteSmall(options.servers, options.times); });
  CLI::App* delete_large = app.add_subcommand("delete-large", "deletes a user beside a load, if there are groups");
  delete_large->add_option("--user", options.user)->required();
  delete_large->callback([&] { result = RunDelete(options); });
  for (CLI::App* command : {load, fill, fill_user, delete_small, delete_large}) command->fallthrough();

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  std::printf("%s\n", result.dump().c_str());
  return 0;
}

}  // namespace

Group ParseGroup(const std::string& text) {
  const size_t equals = text.find('='), colon = text.rfind(':');
  if (equals == std::string::npos || colon == std::string::npos || colon < equals) {
    throw std::invalid_argument("not NAME=METHOD:CLIENTS: " + text);
  }
  return {text.substr(0, equals), text.substr(equals + 1, colon - equals - 1), std::stoi(text.substr(colon + 1))};
}

}  // namespace crosskey::benchmark

int main(int argc, char** argv) { return crosskey::benchmark::Main(argc, argv); }
