#include "common/db/sql.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_replace.h"
#include "common/telemetry/log.h"

namespace crosskey::db {
namespace {

constexpr size_t kMostValues = 32766;
// Stands for a `?` that holds bytes, until it is expanded.
constexpr char kBytes[] = "\x01";
constexpr char kPlaceholders[] = "?\x01";

std::string ReplaceTokens(const std::string& text, Dialect dialect) {
  if (dialect == Dialect::kSqlite) {
    return absl::StrReplaceAll(text, {{"{share}", ""},
                                      {"{share_free}", ""},
                                      {"{update_free}", ""},
                                      {"{then}", "CROSS JOIN"},
                                      {"{by_id}", ""},
                                      {"{by ", "INDEXED BY "},
                                      {"}", ""},  // of {by INDEX}: it is no part of another token's end
                                      {"{update}", ""},
                                      {"{binary}?", kBytes},
                                      {"{now_us}", "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"},
                                      {"{returning id, uid}", "RETURNING id, uid"},
                                      {"{keep_existing}", "ON CONFLICT (id) DO NOTHING"},
                                      {"{keep_named}", "ON CONFLICT (name) DO NOTHING"},
                                      {"{count_writes}", "ON CONFLICT DO UPDATE SET writes = writes + 1"}});
  }
  // FOR SHARE does not exist on MariaDB. LOCK IN SHARE MODE is understood by MariaDB and by MySQL 8 and 9, where
  // nothing may follow it. What stands in `/*M!100600 */` is read by MariaDB from 10.6 on, and is a comment to older
  // ones and to MySQL. What stands in `/*!80001 */` is read by MySQL from 8.0.1 on, and is a comment to MariaDB, which
  // leaves out the numbers from 50700 to 99999.
  return absl::StrReplaceAll(
      text,
      {{"{share}", "LOCK IN SHARE MODE"},
       {"{share_free}", "/*!80001 FOR SHARE SKIP LOCKED */ /*M!50500 LOCK IN SHARE MODE */ /*M!100600 SKIP LOCKED */"},
       {"{update_free}", "FOR UPDATE /*!80001 SKIP LOCKED */ /*M!100600 SKIP LOCKED */"},
       {"{then}", "STRAIGHT_JOIN"},
       {"{by_id}", "FORCE INDEX (PRIMARY)"},
       {"{by ", "FORCE INDEX ("},
       {"}", ")"},
       {"{update}", "FOR UPDATE"},
       {"{binary}?", kBytes},
       {"{now_us}", "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"},
       {"{returning id, uid}", "/*M!100500 RETURNING id, uid */"},
       {"{keep_existing}", "ON DUPLICATE KEY UPDATE id = id"},
       {"{keep_named}", "ON DUPLICATE KEY UPDATE name = name"},
       {"{count_writes}", "ON DUPLICATE KEY UPDATE writes = writes + 1"}});
}

[[noreturn]] void Die(const Sql& sql) {
  log::Error("the number of arguments is not that of the statement's placeholders, or too large",
             {{"statement", sql.name}});
  std::abort();
}

// Appends `text`, with its `?` expanded, and the values.
void Expand(const Sql& sql, const std::string& text, const std::vector<Argument>& arguments, Rendered& out) {
  size_t next = 0;
  for (size_t begin = 0;;) {
    const size_t at = text.find_first_of(kPlaceholders, begin);
    out.text.append(text, begin, at - begin);
    if (at == std::string::npos) break;
    begin = at + 1;
    if (next == arguments.size()) Die(sql);
    const std::vector<Value>& values = arguments[next++].values();
    if (values.empty()) out.text += "NULL";  // IN (NULL) holds for no row
    for (size_t i = 0; i < PaddedLength(values.size()); ++i) {
      out.text += i == 0 ? "?" : ", ?";
      if (text[at] == kBytes[0]) out.bytes.push_back(out.values.size());
      out.values.push_back(values[std::min(i, values.size() - 1)]);
    }
  }
  if (next != arguments.size() || out.values.size() > kMostValues) Die(sql);
}

}  // namespace

size_t PaddedLength(size_t length) {
  size_t padded = length == 0 ? 0 : 1;
  while (padded < length) padded *= 2;
  return padded;
}

size_t PartLength(size_t length) {
  size_t part = 1;
  while (part * 2 <= length) part *= 2;
  return part;
}

Sql::Sql(std::string sql_name, std::string sql_text)
    : name(std::move(sql_name)),
      text(std::move(sql_text)),
      in_{ReplaceTokens(text, Dialect::kSqlite), ReplaceTokens(text, Dialect::kMysql)} {}

Rendered Render(const Sql& sql, Dialect dialect, const std::vector<Argument>& arguments) {
  Rendered out;
  Expand(sql, sql.In(dialect), arguments, out);
  return out;
}

Rendered RenderRows(const Sql& sql, Dialect dialect, const std::vector<std::vector<Argument>>& rows) {
  const std::string& text = sql.In(dialect);
  const size_t group = text.find('(', text.rfind("VALUES"));
  const size_t end = text.find(')', group);
  if (group == std::string::npos || end == std::string::npos || rows.empty()) Die(sql);
  Rendered out;
  out.text = text.substr(0, group);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i > 0) out.text += ", ";
    Expand(sql, text.substr(group, end - group + 1), rows[i], out);
  }
  out.text += text.substr(end + 1);
  return out;
}

}  // namespace crosskey::db
