"""Shows that the checks notice what is wrong: each is given something with one mistake, and has to report it."""

import re

import console
import markdown
import matching
import prose
import reference
from pair import SERVICES
from report import Report

A = "327efd84-dab7-4f9b-bcec-ed862072d131"
B = "90b99112-3851-4bef-b370-cc6c8a29e217"
T = "2026-11-22T15:10:57.727836Z"
U = "2026-12-24T18:00:00Z"

# (shown, actual, whether that is the same)
OUTPUTS = [
    ("a\nb", "a\nb\n", True),
    ("a\nb", "a\nc", False),
    ("a\nb", "a", False),
    ("a", "a\nb", False),
    ("...\nb", "a\nb", True),
    ("...\nb", "b", True),
    ("a\n  ...\nc\n...", "a\nb\nb\nc\nd", True),
    ("a\n...\nc", "a\nb", False),
    ("...\na\n...\nb", "b\na", False),
    (f"{T} info serving", f"{U} info serving", True),
    (f"{T} info serving", f"{U} info stopped", False),
    (f"{T} x", "yesterday x", False),
    (f"{A} {A}", f"{B} {B}", True),
    (f"{A} {A}", f"{A} {B}", False),
    (f"{A} {B}", f"{A} {A}", False),
    (f"{A} x", f"{T} x", False),
    ('{"id": "1", "etag": "v1"}', '{"etag":"v1","id":"1"}', True),
    ('{"id": "1"}', '{"id": "2"}', False),
    ('{"id": "1"}', '{"id": 1}', False),
    ('{"id": "1"}', '{}', False),
    ('{}', '{"id": "1"}', False),
    ('{\n  "id": "1",\n  ...\n}', '{"id": "1", "etag": "v1"}', True),
    ('{\n  "id": "1",\n  ...\n}', '{"etag": "v1"}', False),
    ('{"posts": [{"id": "1"}, {"id": "2"}]}', '{"posts": [{"id": "2"}, {"id": "1"}]}', False),
    ('{"posts": [\n...\n{"id": "2"}]}', '{"posts": [{"id": "1"}, {"id": "2"}]}', True),
    ('{"posts": [\n...\n{"id": "2"}]}', '{"posts": [{"id": "2"}, {"id": "1"}]}', False),
    ('{"posts": []}', '{"posts": [1]}', False),
    (f'{{"uid": "{A}", "time": "{T}"}}', f'{{"uid": "{B}", "time": "{U}"}}', True),
    (f'{{"uid": "{A}"}}', '{"uid": ""}', False),
    (f'{{"uid": "{A}", "of": "{A}"}}', f'{{"uid": "{A}", "of": "{B}"}}', False),
    ('{"user": {"id": "1"}}', "ERROR:\n  Code: Unavailable", False),
    ("{}", "{", False),
]

README = f"""
```
$ grpcurl -d '{{"id": 1}}' \\
    127.0.0.1:50051 user.v1.UserService/CreateUser
{{
  "id": "1",
  "uid": "{A}"
}}

$ grpcurl refused
ERROR:
  Code: NotFound
  ...
$ grpcurl unseen
...
```
"""
COMMAND = "grpcurl -d '{\"id\": 1}' \\\n    127.0.0.1:50051 user.v1.UserService/CreateUser"
ANSWERS = {
    COMMAND: (0, f'{{"uid": "{B}", "id": "1"}}'),
    "grpcurl refused": (69, "ERROR:\n  Code: NotFound\n  Message: none"),
    "grpcurl unseen": (0, "{}"),
}
# (whose answer is another one, that answer)
WRONG_ANSWERS = [
    (COMMAND, (0, f'{{"uid": "{B}", "id": "2"}}')),
    (COMMAND, (1, ANSWERS[COMMAND][1])),
    ("grpcurl refused", (69, "ERROR:\n  Code: Aborted\n  Message: none")),
    ("grpcurl refused", (0, ANSWERS["grpcurl refused"][1])),
    ("grpcurl unseen", (1, "ERROR:")),
]


class Answers:
    """In place of a folder with services."""

    def __init__(self, answers):
        self.answers = answers

    def run(self, command):
        return self.answers[command]


def failures(text, answers, missing=()):
    """(passed, failed, skipped) of a README with these answers."""
    report = Report(lambda line: None)
    console.Console("README.md", text, Answers(answers), report, dict(missing)).run()
    return report.passed, report.failed, report.skipped


def consoles():
    wrong = []
    if failures(README, ANSWERS) != (3, 0, 0):
        wrong.append("right answers are not accepted")
    for command, answer in WRONG_ANSWERS:
        if failures(README, dict(ANSWERS, **{command: answer})) != (2, 1, 0):
            wrong.append(f"this answer of {command!r} is not noticed: {answer}")
    if failures(README, ANSWERS, [("grpcurl", "it is missing")]) != (0, 0, 3):
        wrong.append("a missing program is not skipped")
    if failures(README.replace("```\n$", "```\n\n$", 1), ANSWERS) != (0, 1, 0):
        wrong.append("a session that does not begin with a command is not noticed")
    shown = 'x\n== Walk-through\n\n1. One.\n   > call\n     {\n       "a":"1", "b":"2"\n     }\n...\n\n== Stop\ny'
    script = 'echo "x"\necho "== Walk-through"\necho "== Stop"\necho "y"\n'
    walk = '1. One.\n   > call\n     {"b":"2","a":"1"}\n\n2. Two.\n'
    if console.tour_problem(shown, walk, script):
        wrong.append("the output of the walk-through is not accepted")
    for which, text, by in ((0, '"2"', '"3"'), (0, "One", "Another"), (1, '"b":"2",', ""), (1, "1. One.", "1. Once."),
                            (2, 'echo "y"', 'echo "z"')):
        texts = [shown, walk, script]
        texts[which] = texts[which].replace(text, by)
        if not console.tour_problem(*texts):
            wrong.append(f"the walk-through with {by!r} for {text!r} is accepted")
    return wrong


HELP = """Usage: {name}-service [OPTIONS] [command]

Command:
  command                       serve (default): run the service
                                version: print the version

Options:
  -h,--help                     Print this help message and exit
  --db URL                      sqlite:PATH or mysql://user@host:port/database
                                default sqlite:{name}-service.db, environment CROSSKEY_{upper}_DB
  --db-pool N                   database sessions, 1 to 512
                                default 16, environment CROSSKEY_{upper}_DB_POOL

Limits:
  call to the peer                                       2s
  page, at most                                          1000 rows
  page, at most                                          3 MiB
"""
TABLES = """
| command | what it does |
|---|---|
| `serve` (default) | runs |
| `version` | prints the version |

| flag | default, user-service | default, post-service | meaning |
|---|---|---|---|
| `--db` | `sqlite:user-service.db` | `sqlite:post-service.db` | `sqlite:PATH` or `mysql://user@host:port/database` |
| `--db-pool` | 16 | 16 | database sessions, 1 to 512 |

| limit | value |
|---|---|
| call to the peer | 2 s |
| page, at most | 1,000 rows, 3 MiB |

| relationship | parent | child column | kind | on delete |
|---|---|---|---|---|
| `user.v1.User.pinned_post_id` | `post.v1.Post` | `users.pinned_post_id` | one-to-one | SET NULL |

| metric | labels | meaning |
|---|---|---|
| `calls_total` | `method` | calls |
| `handled_total` | the same and `code` | calls completed |
| `seconds` | | histogram |
| `deletions` | | user-service: those under way |
"""
PAGE = """# TYPE calls_total counter
calls_total{method="A"} 1
# TYPE handled_total counter
handled_total{method="A",code="OK"} 1
# TYPE seconds histogram
seconds_count 1
seconds_bucket{le="+Inf"} 1
"""
PROTO = """
package user.v1;

service UserService {
  // Reads one. NOT_FOUND USER_NOT_FOUND.
  rpc GetUser(GetUserRequest) returns (GetUserResponse);
}

message User {
  // A pin.
  optional int64 pinned_post_id = 4 [(relation.v1.references) = {
    type: "post.v1.Post"
    on_delete: REFERENTIAL_ACTION_SET_NULL
  }];
}

message GetUserRequest {
  // Required.
  int64 id = 1;
}
"""
CONTRACT = """
| reason | code | other details | metadata |
|---|---|---|---|
| `INVALID_FIELD` | `INVALID_ARGUMENT` | BadRequest | field |
| `USER_NOT_FOUND` | `NOT_FOUND` | ResourceInfo | resource |
| `CONFLICT` | `ABORTED` | RetryInfo | |
| `UNAUTHENTICATED` | `UNAUTHENTICATED` | | why |
| `PERMISSION_DENIED` | `PERMISSION_DENIED` | | why |
| `REQUEST_TOO_LARGE` | `RESOURCE_EXHAUSTED` | | bytes, limit |
| `OVERLOADED` | `RESOURCE_EXHAUSTED` | RetryInfo | what |
| `DATABASE_UNAVAILABLE` | `UNAVAILABLE` | RetryInfo | |
| `DRAINING` | `UNAVAILABLE` | RetryInfo | |
| `INTERNAL_ERROR` | `INTERNAL` | RequestInfo | incident |

| reason | when | the same call again |
|---|---|---|
| `INVALID_FIELD` | a field is wrong | never |
| `USER_NOT_FOUND` | there is none | no |
| `CONFLICT` | lost | after the delay |
| `UNAUTHENTICATED` | a stranger | no |
| `PERMISSION_DENIED` | may not | no |
| `REQUEST_TOO_LARGE` | too large | no |
| `OVERLOADED` | too many | after the delay |
| `DATABASE_UNAVAILABLE` | away | after the delay |
| `DRAINING` | the end | after the delay |
| `INTERNAL_ERROR` | unforeseen | no |

- every method: `CONFLICT`, `UNAUTHENTICATED`, `PERMISSION_DENIED`, `REQUEST_TOO_LARGE`, `OVERLOADED`,
  `DATABASE_UNAVAILABLE`, `DRAINING`, `INTERNAL_ERROR`
- `user.v1.UserService/GetUser`: `INVALID_FIELD`,
  `USER_NOT_FOUND`
"""
CODE = """
absl::Status InvalidFields(int x) {
  google::rpc::BadRequest details;
  absl::Status status = Make(absl::StatusCode::kInvalidArgument, "INVALID_FIELD", message, {{"field", field}});
}

absl::Status NotFound(const std::string& type, int64_t id) {
  absl::Status status = Make(absl::StatusCode::kNotFound, absl::AsciiStrToUpper(ShortName(type)) + "_NOT_FOUND",
                             name + " does not exist", {{"resource", name}});
  AttachResource(status, type, name, "does not exist");
}

absl::Status Conflict() {
  absl::Status status =
      Make(absl::StatusCode::kAborted, "CONFLICT", "the change conflicts with others that are under way");
  AttachRetry(status, absl::Milliseconds(100));
}

absl::Status Unauthenticated(const std::string& why) {
  return Make(absl::StatusCode::kUnauthenticated, "UNAUTHENTICATED", "who are you", {{"why", why}});
}

absl::Status PermissionDenied(const std::string& why) {
  return Make(absl::StatusCode::kPermissionDenied, "PERMISSION_DENIED", "no", {{"why", why}});
}

absl::Status RequestTooLarge(size_t bytes, size_t limit) {
  return Make(absl::StatusCode::kResourceExhausted, "REQUEST_TOO_LARGE", "large", {{"bytes", b}, {"limit", l}});
}

absl::Status Overloaded(const std::string& what) {
  absl::Status status = Make(absl::StatusCode::kResourceExhausted, "OVERLOADED", "too many", {{"what", what}});
  AttachRetry(status, absl::Milliseconds(200));
}

absl::Status DatabaseUnavailable() {
  absl::Status status = Make(absl::StatusCode::kUnavailable, "DATABASE_UNAVAILABLE", "the database is not reachable");
  AttachRetry(status, absl::Seconds(1));
}

absl::Status Draining() {
  absl::Status status = Make(absl::StatusCode::kUnavailable, "DRAINING", "the server is about to stop");
  AttachRetry(status, absl::Seconds(1));
}

absl::Status Internal(const std::string& incident) {
  absl::Status status = Make(absl::StatusCode::kInternal, "INTERNAL_ERROR", "unexpected", {{"incident", incident}});
  google::rpc::RequestInfo info;
}
"""
CALLERS = "return errors::NotFound(kUserType, id);"

# (which text, pattern, replacement): each of them makes a table wrong.
MISTAKES = [
    ("tables", r"\| `version`.*\n", ""),
    ("help", r" +version: .*\n", ""),
    ("tables", r"\| `--db-pool`.*\n", ""),
    ("tables", r"`--db-pool` \| 16 \| 16", "`--db-pool` | 16 | 17"),
    ("tables", r"1 to 512", "1 to 511"),
    ("tables", r"`sqlite:post-service.db`", "`sqlite:user-service.db`"),
    ("help", r"  --db-pool N.*\n.*\n", ""),
    ("help", r"default 16", "default 32"),
    ("help", r"_DB_POOL", "_POOL"),
    ("tables", r"2 s", "3 s"),
    ("tables", r"1,000 rows, ", ""),
    ("tables", r"\| call to the peer.*\n", ""),
    ("tables", r"\| page, at most", "| page at least | 1 row |\n| page, at most"),
    ("help", r"  page, at most +3 MiB\n", ""),
    ("tables", r"\| `seconds`.*\n", ""),
    ("tables", r"`method`", ""),
    ("tables", r"the same and `code`", "`code`"),
    ("tables", r"user-service: those", "those"),
    ("tables", r"\| `seconds`", "| `minutes` | | |\n| `seconds`"),
    ("page", r"calls_total\{method=\"A\"", 'calls_total{method="A",more="B"'),
    ("page", r"calls_total\{method=\"A\"\} 1\n", ""),
    ("page", r"\Z", "# TYPE more gauge\nmore 1\n"),
    ("contract", r"\| `USER_NOT_FOUND` .*\n", ""),
    ("contract", r"`NOT_FOUND` \| ResourceInfo", "`ABORTED` | ResourceInfo"),
    ("contract", r"ResourceInfo \| resource", "| resource"),
    ("contract", r"ResourceInfo \| resource", "ResourceInfo | user"),
    ("contract", r"\| `CONFLICT`", "| `OTHER` | `ABORTED` | | | |\n| `CONFLICT`"),
    ("contract", r"`CONFLICT`, `UNAUTHENTICATED`", "`UNAUTHENTICATED`, `CONFLICT`"),
    ("contract", r"`REQUEST_TOO_LARGE`, ", ""),
    ("contract", r"`INVALID_FIELD`,\n  `USER_NOT_FOUND`", "`USER_NOT_FOUND`,\n  `INVALID_FIELD`"),
    ("contract", r",\n  `USER_NOT_FOUND`", ""),
    ("contract", r"`INVALID_FIELD`,\n", "\n"),
    ("contract", r"- every method.*\n", ""),
    ("contract", r"`USER_NOT_FOUND`\n", "`USER_NOT_FOUND`, `DRAINING`\n"),
    ("contract", r"\| `DRAINING` \| the end.*\n", ""),
    ("contract", r"UserService/GetUser", "UserService/GetUsers"),
    ("code", r"kAborted", "kUnavailable"),
    ("code", r"\"DRAINING\"", '"STOPPING"'),
    ("code", r"  AttachResource.*\n", ""),
    ("code", r"\{\{\"what\", what\}\}", '{{"what", what}, {"limit", limit}}'),
    ("callers", r"\Z", " return errors::NotFound(kPostType, id);"),
    ("proto", r" NOT_FOUND USER_NOT_FOUND", ""),
    ("proto", r"SET_NULL", "CASCADE"),
    ("proto", r"\"post.v1.Post\"", '"post.v1.Like"'),
    ("proto", r" \[\(relation[^]]*\]", ""),
    ("tables", r"SET NULL", "CASCADE"),
    ("tables", r"\| `user.v1.User.pinned.*\n", ""),
    ("contract", r"after the delay", "not"),
    ("contract", r"never", "after the delay"),
    ("proto", r"GetUser\(", "FindUser("),
    ("proto", r"  int64 id = 1;", ""),
]
# What is none: a reason that goes without saying may be said.
HARMLESS = ("proto", r"NOT_FOUND USER_NOT_FOUND", "NOT_FOUND USER_NOT_FOUND, ABORTED CONFLICT")


def table_problems(texts):
    helps = {service: texts["help"].format(name=service[:4], upper=service[:4].upper()) for service in SERVICES}
    pages = {service: texts["page"] for service in SERVICES}
    pages["user-service"] += "# TYPE deletions gauge\ndeletions 0\n"
    known = reference.errors_of(texts["code"], texts["callers"])
    return (reference.commands(texts["tables"], helps) + reference.flags(texts["tables"], helps) +
            reference.limits(texts["tables"], helps) + reference.metrics(texts["tables"], pages) +
            reference.relationships(texts["tables"], reference.relationships_of(texts["proto"])) +
            reference.errors(texts["contract"], known) +
            reference.methods(texts["contract"], reference.methods_of(texts["proto"])))


def tables():
    texts = {"help": HELP, "tables": TABLES, "page": PAGE, "proto": PROTO, "contract": CONTRACT, "code": CODE,
             "callers": CALLERS}
    wrong = [f"right tables are not accepted: {problem}" for problem in table_problems(texts)]
    for mistake in MISTAKES + [HARMLESS]:
        which, pattern, replacement = mistake
        text, count = re.subn(pattern, lambda _, by=replacement: by, texts[which], count=1)
        if count == 0 or text == texts[which]:
            wrong.append(f"{pattern!r} is not in {which}")
        elif bool(table_problems(dict(texts, **{which: text}))) == (mistake is HARMLESS):
            wrong.append(f"{which} with {replacement!r} for {pattern!r}: "
                         f"{'refused' if mistake is HARMLESS else 'accepted'}")
    if not reference.versions("grpcurl/cmd/grpcurl@v1.2.3`", "grpcurl_version=v1.2.4  # x"):
        wrong.append("another version of grpcurl is not noticed")
    return wrong


def problems(root, readmes):
    wrong = []
    for shown, actual, same in OUTPUTS:
        if (matching.compare(shown, actual, matching.Known()) == "") != same:
            wrong.append(f"{actual!r}, shown as {shown!r}, is {'refused' if same else 'accepted'}")
    # What is there to be checked must be found.
    blocks = console.blocks_of(root, readmes)
    for what, is_one in (("a console session", markdown.is_console), ("a log", console.is_log),
                         ("a tour", console.is_tour)):
        if not any(map(is_one, blocks)):
            wrong.append(f"no README has a block that is taken for {what}")
    return wrong + consoles() + tables() + prose.self_test()
