#include "common/server/maintenance.h"

#include <iostream>
#include <memory>
#include <string>

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "common/db/sql_error.h"
#include "common/relation/repair/check.h"
#include "common/relation/repair/repair.h"
#include "common/status/errors.h"
#include "common/status/limits.h"
#include "common/telemetry/log.h"

namespace crosskey::server {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

int Fail(const std::string& what, const absl::Status& status) {
  log::Error(what, {{"error", db::TextOf(status)}});
  return 1;
}

Value Text(const std::string& text) {
  Value value;
  value.set_string_value(text);
  return value;
}

Value Number(int64_t number) {
  Value value;
  value.set_number_value(static_cast<double>(number));
  return value;
}

Value Bool(bool flag) {
  Value value;
  value.set_bool_value(flag);
  return value;
}

void Print(const Struct& object) {
  std::string json;
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  const auto status = google::protobuf::util::MessageToJsonString(object, &json, options);
  std::cout << (status.ok() ? json : "{}") << std::flush;
}

Struct ToJson(const relation::Report& report) {
  Struct object;
  auto& fields = *object.mutable_fields();
  fields["clean"] = Bool(report.is_clean());
  fields["history"] = Text(report.history);
  fields["needs_repair"] = Bool(report.needs_repair);
  fields["references"] = Number(report.references);
  fields["open_deletions"] = Number(report.open_deletions);
  auto& problems = *fields["problems"].mutable_struct_value()->mutable_fields();
  for (const auto& [problem, rows] : report.problems) problems[problem] = Number(rows);
  auto& examples = *fields["examples"].mutable_list_value();
  for (const auto& example : report.examples) {
    auto& each = *examples.add_values()->mutable_struct_value()->mutable_fields();
    each["problem"] = Text(example.problem);
    each["resource"] = Text(example.resource);
    each["uid"] = Text(example.uid);
  }
  return object;
}

std::string ToText(const relation::Report& report) {
  std::string text =
      absl::StrCat(report.references, " references and ", report.open_deletions, " open deletions were looked at\n");
  if (!report.history.empty()) absl::StrAppend(&text, "HISTORY_MISMATCH: ", report.history, "\n");
  for (const auto& [problem, rows] : report.problems) {
    absl::StrAppend(&text, rows, rows == 1 ? " row: " : " rows: ", problem, "\n");
    for (const auto& example : report.examples) {
      if (example.problem == problem) absl::StrAppend(&text, "  ", example.resource, " ", example.uid, "\n");
    }
  }
  if (report.is_clean()) absl::StrAppend(&text, "nothing is wrong\n");
  return text;
}

void Print(const relation::Report& report, bool json) {
  if (json) return Print(ToJson(report));
  std::cout << ToText(report) << std::flush;
}

Struct ToJson(const relation::Repair::Done& done) {
  Struct object;
  auto& fields = *object.mutable_fields();
  fields["references"] = Number(done.references);
  fields["given_up"] = Number(done.given_up);
  fields["returned"] = Number(done.returned);
  fields["completed"] = Number(done.completed);
  fields["taken_over"] = Number(done.taken_over);
  return object;
}

std::string ToText(const relation::Repair::Done& done) {
  return absl::StrCat("repaired: ", done.references, " references were compared, ", done.given_up,
                      " given up with what referred to them, ", done.returned, " made visible again, ", done.completed,
                      " deletions completed, ", done.taken_over, " taken over\n");
}

// The account of this machine that runs the command: "os:UID". No principal of a call begins so.
std::string OperatorName() { return absl::StrCat("os:", getuid()); }

// The app, connected with its database and the other service. An error says what is missing.
absl::StatusOr<std::unique_ptr<Running>> Connect(const process::Options& options, const Program& program) {
  CROSSKEY_ASSIGN_OR_RETURN(std::unique_ptr<Running> running, program.build(options));
  CROSSKEY_RETURN_IF_ERROR(running->service().Prepare(Call::Background(limits::kDefaultDeadline)));
  return running;
}

}  // namespace

int RunCheck(const process::Options& options, const Program& program) {
  const auto running = Connect(options, program);
  if (!running.ok()) return Fail("cannot check", running.status());
  const auto report = relation::Check((*running)->sides()).Run();
  if (!report.ok()) return Fail("cannot check", report.status());
  Print(*report, options.json);
  return report->is_clean() ? 0 : kWrong;
}

int RunRepair(const process::Options& options, const Program& program) {
  const auto running = Connect(options, program);
  if (!running.ok()) return Fail("cannot repair", running.status());
  const relation::Sides& sides = (*running)->sides();
  const auto report = relation::Check(sides).Run();
  if (!report.ok()) return Fail("cannot repair", report.status());
  if (!options.apply || report->is_clean()) {
    Print(*report, options.json);
    if (!report->is_clean() && !options.json) std::cout << "nothing was changed: --apply mends it" << std::endl;
    return report->is_clean() ? 0 : kWrong;
  }
  if (!options.json) Print(*report, false);
  // What is wrong with this service's own history is mended by the other one, which begins anew with it.
  const auto other_first = [&] {
    log::Error("run `repair --apply` of the other service", {{"service", sides.peer}});
    return kWrong;
  };
  if (!report->needs_repair && report->problems.empty()) {
    if (options.json) Print(ToJson(*report));
    return other_first();
  }
  const auto done = relation::Repair(sides).Run();
  if (telemetry::AuditLog* const audit = (*running)->service().audit(); audit != nullptr) {
    telemetry::AuditLog::Entry entry;
    entry.principal = OperatorName();
    entry.method = "repair";
    entry.outcome = done.ok() ? "OK" : std::string(absl::StatusCodeToString(done.status().code()));
    entry.reason = errors::ReasonName(done.status());
    audit->Write(entry);
  }
  if (!done.ok()) {
    if (options.json) Print(ToJson(*report));
    return Fail("the repair has not ended, and has to be run again", done.status());
  }
  options.json ? Print(ToJson(*done)) : (void)(std::cout << ToText(*done) << std::flush);
  const absl::Status refreshed = sides.history.Refresh(Call::Background(limits::kDefaultDeadline));
  if (!refreshed.ok()) return Fail("cannot say whether all is mended", refreshed);
  return sides.history.MayGoOn().ok() ? 0 : other_first();
}

}  // namespace crosskey::server
