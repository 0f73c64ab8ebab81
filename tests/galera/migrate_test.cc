// Both services are migrated on several nodes at once, as by the jobs of a release that starts everywhere.
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/galera/galera.h"
#include "tests/support/child_process.h"

namespace crosskey::testing {
namespace {

constexpr const char* kPrograms[] = {"tests/user-service", "tests/post-service"};

// All tables as the server describes them, and what is recorded as applied.
std::string SchemaOf(const TestDatabase& database) {
  std::string schema;
  for (const auto& table : database.Query("SHOW TABLES")) {
    absl::StrAppend(&schema, database.Query("SHOW CREATE TABLE " + table.front()).front()[1], "\n");
  }
  for (const auto& row : database.Query("SELECT component, number, name, checksum FROM schema_components "
                                        "ORDER BY component, number")) {
    absl::StrAppend(&schema, absl::StrJoin(row, " "), "\n");
  }
  return schema;
}

std::vector<std::string> Flags(const std::string& url) { return {"migrate", "--db", url, "--log-format", "json"}; }

TEST(GaleraMigrateTest, OnSeveralNodesAtOnceItSucceedsOnAll) {
  for (const char* program : kPrograms) {
    const TestDatabase alone("galera");
    std::string output;
    ASSERT_EQ(RunProgram(program, Flags(alone.url()), &output), 0) << output;
    const std::string expected = SchemaOf(alone);
    for (int round = 0; round < 2 * TimesOfRun(); ++round) {
      const TestDatabase database("galera");
      std::vector<std::unique_ptr<ChildProcess>> processes;
      for (int node = 0; node < database.nodes(); ++node) {
        processes.push_back(std::make_unique<ChildProcess>(program, Flags(database.UrlAt(node))));
      }
      for (const auto& process : processes) EXPECT_EQ(process->Wait().value_or(-1), 0) << process->Output();
      for (int node = 0; node < database.nodes(); ++node) {
        EXPECT_EQ(SchemaOf(TestDatabase(database, node)), expected) << program << " on node " << node;
      }
      ASSERT_EQ(RunProgram(program, Flags(database.UrlAt(1)), &output), 0) << "once more: " << output;
    }
  }
}

}  // namespace
}  // namespace crosskey::testing
