"""The tables of the READMEs against the services and the code: flags, limits, metrics, errors. A function returns
what is wrong, one line each, so that the self test can show that it notices."""

import glob
import os
import re
import time
import urllib.request

import markdown
from pair import PORTS, SERVICES

PATIENCE = 20  # seconds until every metric is there
ERRORS = ("reason", "code", "other details", "metadata")
AGAIN = ("reason", "when", "the same call again")
# An item of the list of errors by method, with its continuations.
METHOD = re.compile(r"^- (?:`([\w.]+/\w+)`|(every method)): (.*(?:\n  .*)*)", re.MULTILINE)


def plain(cell):
    return cell.replace("`", "")


# Flags and limits, from --help.


def flags_of(help_text):
    """{flag: (default, variable, meaning)}"""
    pattern = r"^  (--[a-z-]+)(?: \S+)? +(.*)\n +default (.*), environment (\S+)$"
    return {flag: (default, variable, meaning)
            for flag, meaning, default, variable in re.findall(pattern, help_text, re.MULTILINE)}


def is_subsequence(words, among):
    among = iter(among)
    return all(word in among for word in words)


def flags(readme, helps):
    """`helps`: {service: its --help}"""
    table = markdown.table_of(readme, "flag", "default, user-service", "default, post-service", "meaning")
    documented = {plain(row[0]): row[1:] for row in table.rows}
    problems = []
    for number, service in enumerate(SERVICES):
        known = flags_of(helps[service])
        if not known:
            problems.append(f"--help of {service} shows no flag")
        problems += [f"{flag} of {service} is not in the README" for flag in known if flag not in documented]
        problems += [f"{service} has no {flag}" for flag in documented if flag not in known]
        prefix = "CROSSKEY_" + service.split("-", maxsplit=1)[0].upper() + "_"
        for flag, (default, variable, meaning) in known.items():
            if variable != prefix + flag[2:].upper().replace("-", "_"):
                problems.append(f"{flag} of {service} is {variable} in the environment, against the rule of the README")
            row = documented.get(flag)
            if row is None:
                continue
            if plain(row[number]) != default:
                problems.append(f"{flag} of {service}: the default is {default}, the README says {plain(row[number])}")
            words, among = (re.findall(r"[^\s,;()]*[^\s,;():]", plain(text)) for text in (meaning, row[2]))
            if not is_subsequence(words, among):
                problems.append(f"{flag}: --help says '{meaning}', the README '{row[2]}'")
    return problems


def commands(readme, helps):
    table = markdown.table_of(readme, "command", "what it does")  # the first of them is the one of the services
    documented = sorted(re.match(r"`([\w-]+)(?: FILE)?`", row[0])[1] for row in table.rows)
    problems = []
    for service in SERVICES:
        section = re.search(r"^Command:\n(.*?)\n\n", helps[service], re.MULTILINE | re.DOTALL)
        known = sorted(re.findall(r"^ +(?:command +)?([\w-]+)(?: \(default\)| FILE)?: ", section[1], re.MULTILINE))
        if known != documented:
            problems.append(f"{service} has the commands {', '.join(known)}, the README {', '.join(documented)}")
    return problems


def limits_of(help_text):
    """[(limit, value)] as the README writes them."""
    found = []
    for line in help_text.split("Limits:\n")[-1].splitlines():
        match = re.match(r"  (.*?) +(\d+ ?\w+)$", line)
        if match:
            value = re.sub(r"^(\d+)([smh])$", r"\1 \2", match[2])
            found.append((match[1], re.sub(r"^\d+", lambda digits: f"{int(digits[0]):,}", value)))
    return found


def limits(readme, helps):
    table = markdown.table_of(readme, "limit", "value")
    documented = [(plain(limit), value) for limit, values in table.rows for value in re.split(r", (?=\d)", values)]
    problems = []
    shown = set()
    for service in SERVICES:
        known = limits_of(helps[service])
        shown.update(known)
        if not known:
            problems.append(f"--help of {service} shows no limit")
        problems += [f"{service}: {limit}, {value}: is not in the README" for limit, value in known
                     if (limit, value) not in documented]
    problems += [f"the README says: {limit}, {value}: but no service does" for limit, value in documented
                 if (limit, value) not in shown]
    return problems


# Metrics, from /metrics.


def exposed(text):
    """{metric: set of label sets}; what belongs to a histogram counts as the histogram."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    found = {name: set() for name in kinds}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", text, re.MULTILINE):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        name = base if kinds.get(base) in ("histogram", "summary") else name
        names = set(re.findall(r'(\w+)="', labels)) - {"le", "quantile"}
        found.setdefault(name, set()).add(frozenset(names))
    return found


def documented_metrics(readme):
    """{metric: (labels, the services that have it)}"""
    found = {}
    labels = []
    for name, cell, meaning in markdown.table_of(readme, "metric", "labels", "meaning").rows:
        labels = (labels if cell.startswith("the same") else []) + markdown.code(cell)
        only = re.match(r"(\w+-service): ", meaning)
        found[plain(name)] = (frozenset(labels), (only[1],) if only else SERVICES)
    return found


def metrics(readme, pages):
    """`pages`: {service: what /metrics says}"""
    documented = documented_metrics(readme)
    problems = []
    for service in SERVICES:
        found = exposed(pages[service])
        for name, sets in found.items():
            if name not in documented or service not in documented[name][1]:
                problems.append(f"{service} exposes {name}, of which the README does not tell")
                continue
            problems += [f"{service}: {name} has the labels {', '.join(sorted(labels)) or 'none'}, "
                         "not those of the README"
                         for labels in sets if labels != documented[name][0]]
        for name, (_, services) in documented.items():
            if service in services and not found.get(name):
                problems.append(f"{service} does not expose {name}")
    return problems


def secure(folder, root):
    """Gives the services that start next TLS between each other and an audit record, without which some metrics are
    not there."""
    made = os.path.abspath(os.path.join(folder.path, "access"))
    status, output = folder.run(f"{os.path.abspath(root)}/deploy/compose/certificates {made}")
    for service in SERVICES:
        prefix = "CROSSKEY_" + service.split("-", maxsplit=1)[0].upper() + "_"
        folder.environment.update({
            prefix + "INTERNAL_TLS_CERT": f"{made}/{service}/internal.crt",
            prefix + "INTERNAL_TLS_KEY": f"{made}/{service}/internal.key",
            prefix + "INTERNAL_TLS_CA": f"{made}/{service}/ca.crt",
            prefix + "AUDIT_LOG": f"{made}/{service}.audit",
            prefix + "PEER_IDENTITY": f"spiffe://crosskey/{SERVICES[1 - SERVICES.index(service)]}",
        })
    return output if status else ""


def load(folder):
    """What makes every metric appear: calls to both services, and events that both consume."""
    user = folder.run("""grpcurl -plaintext -d '{"username": "ada"}' 127.0.0.1:50051 user.v1.UserService/CreateUser""")
    calls = [
        """grpcurl -plaintext -d '{"user_id": 1, "title": "Hello"}' 127.0.0.1:50052 post.v1.PostService/CreatePost""",
        """grpcurl -plaintext -d '{"id": 1}' 127.0.0.1:50052 post.v1.PostService/DeletePost""",
    ]
    results = [user]
    for call in calls:
        deadline = time.monotonic() + PATIENCE
        result = folder.run(call)
        while result[0] != 0 and time.monotonic() < deadline:
            time.sleep(0.1)
            result = folder.run(call)
        results.append(result)
    return "\n".join(output for status, output in results if status != 0)


def scrape(folder):
    pages = {}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for service in SERVICES:
        port = PORTS[service][2]
        with opener.open(f"http://127.0.0.1:{folder.ports.get(port, port)}/metrics", timeout=10) as page:
            pages[service] = page.read().decode()
    return pages


# Errors, from the code and the comments of the methods.


def code_name(name):
    """kInvalidArgument -> INVALID_ARGUMENT"""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()


def errors_of(source, callers):
    """{reason: (code, set of details, set of metadata keys)} of common/status/errors.cc and of what a
    service has besides. `callers`: the other sources."""
    found = {}
    for function in re.split(r"^(?=absl::Status \w+\()", source, flags=re.MULTILINE):
        made = re.search(r"Make\(\s*absl::StatusCode::k(\w+),\s*(?:\"(\w+)\"|(\w[^\"]*)\"(\w+)\"),", function)
        if made is None or re.match(r"absl::Status Make\(", function):
            continue
        details = {name for name in ("BadRequest", "PreconditionFailure", "RequestInfo")
                   if f"google::rpc::{name} " in function}
        details |= {name for helper, name in (("AttachRetry(", "RetryInfo"), ("AttachResource(", "ResourceInfo"))
                    if helper in function}
        keys = set(re.findall(r'\{\{?"([a-z]\w*)",', function)) | set(re.findall(r'metadata\["(\w+)"\]', function))
        reasons = [made[2]]
        if made[2] is None:
            # {TYPE}_NOT_FOUND, {FIELD}_TAKEN: what the callers say.
            kind = re.match(r"absl::Status (\w+)\(", function)[1]
            pattern = r"errors::" + kind + (r"\(k(\w+)Type," if "ShortName" in made[3] else r"\(\w+, \"(\w+)\",")
            reasons = sorted({name.upper() + made[4] for name in re.findall(pattern, callers)})
        for reason in reasons:
            found[reason] = (code_name(made[1]), details, keys)
    return found


def documented_errors(wire):
    """The same of the first table, in its order."""
    table = markdown.table_of(wire, *ERRORS)
    return {plain(row[0]): (plain(row[1]), set(filter(None, row[2].split(", "))), set(filter(None, row[3].split(", "))))
            for row in table.rows}


def errors(wire, known):
    """`known`: errors_of() the code."""
    documented = documented_errors(wire)
    problems = [f"{reason} is not in the table" for reason in known if reason not in documented]
    problems += [f"nothing gives {reason}" for reason in documented if reason not in known]
    for reason in documented.keys() & known.keys():
        for what, said, done in zip(("code", "details", "metadata"), documented[reason], known[reason]):
            if said != done:
                text = [", ".join(sorted(value)) if isinstance(value, set) else value for value in (said, done)]
                problems.append(f"{reason}: the table says {what} {text[0] or 'none'}, the code {text[1] or 'none'}")
    again = {plain(row[0]): row[2] for row in markdown.table_of(wire, *AGAIN).rows}
    if list(again) != list(documented):
        problems.append("the two tables of errors do not have the same reasons in the same order")
    # RetryInfo is what says that the same call may be made again, and when.
    problems += [f"{reason}: 'after the delay' and RetryInfo go together" for reason in documented
                 if ("RetryInfo" in documented[reason][1]) != ("after the delay" in again.get(reason, ""))]
    return sorted(problems)


def methods_of(proto):
    """{method: (comment, fields of its request)} of one file."""
    package = re.search(r"^package (\S+);", proto, re.MULTILINE)[1]
    fields = {}
    for name, body in re.findall(r"^message (\w+) \{(.*?)\}$", proto, re.MULTILINE | re.DOTALL):
        fields[name] = set(re.findall(r"^  .*?(\w+) = \d+", body, re.MULTILINE))
    found = {}
    for service, body in re.findall(r"^service (\w+) \{\n(.*?)^\}$", proto, re.MULTILINE | re.DOTALL):
        for comment, name, request in re.findall(r"((?:^  //.*\n)+)  rpc (\w+)\((\w+)\)", body, re.MULTILINE):
            found[f"{package}.{service}/{name}"] = (comment, fields[request])
    return found


EVERY = ["CONFLICT", "UNAUTHENTICATED", "PERMISSION_DENIED", "REQUEST_TOO_LARGE", "OVERLOADED", "DATABASE_UNAVAILABLE",
         "DRAINING", "INTERNAL_ERROR"]


# The methods that a service takes although it has lost something: those that read, and those that mend it.
WITHOUT_WRITES = re.compile(r".*/(Get|List|BatchGet|BeginRepair|FindReferences)\w*")
# Those that change nothing in the database.
READS = re.compile(r".*/(Get|List|BatchGet|FindReferences|LookupReferenced|Subscribe)\w*")


def unsaid(method, fields):
    """The reasons that the comment of a method with such a request leaves out, besides those of every method."""
    writes = set() if WITHOUT_WRITES.fullmatch(method) else {"HISTORY_MISMATCH"}
    if not READS.fullmatch(method):
        writes.add("DATABASE_NOT_WRITABLE")
    return writes | ({"INVALID_FIELD"} if fields else set()) | {
        reason for reason, field in (("REQUEST_ID_REUSED", "request_id"), ("INVALID_PAGE_TOKEN", "page_token"))
        if field in fields}


def methods(wire, known):
    """`known`: {method: (comment, fields)}"""
    order = list(documented_errors(wire))
    table = {method or every: markdown.code(reasons) for method, every, reasons in METHOD.findall(wire)}
    problems = [] if table.pop("every method", None) == EVERY else [f"every method does not have {', '.join(EVERY)}"]
    problems += [f"{method} is not in the list of methods" for method in known if method not in table]
    problems += [f"there is no method {method}" for method in table if method not in known]
    for method in table.keys() & known.keys():
        comment, fields = known[method]
        reasons = table[method]
        problems += [f"{method}: {reason} is not in the table of errors" for reason in reasons if reason not in order]
        if reasons != sorted(set(reasons), key=lambda reason: order.index(reason) if reason in order else -1):
            problems.append(f"{method}: its reasons are not in the order of the table of errors")
        said = set(re.findall(r"\b[A-Z][A-Z_]+\b", comment)) & set(order)
        expected = (said | unsaid(method, fields)) - set(EVERY)
        problems += [f"{method}: its comment in the .proto does not say {reason}" for reason in set(reasons) - expected]
        problems += [f"{method}: {reason} is not in its item" for reason in expected - set(reasons)]
    return sorted(problems)


# Relationships, from the options of fields.


def relationships_of(proto):
    """{relationship: (parent, action)} of one file."""
    package = re.search(r"^package (\S+);", proto, re.MULTILINE)[1]
    found = {}
    for message, body in re.findall(r"^message (\w+) \{(.*?)^\}$", proto, re.MULTILINE | re.DOTALL):
        for field, options in re.findall(r"^  [^/\n]*?(\w+) = \d+ \[\(relation\.v1\.references\) = \{(.*?)\}\]", body,
                                         re.MULTILINE | re.DOTALL):
            parent = re.search(r'type: "(\S+)"', options)[1]
            action = re.search(r"on_delete: REFERENTIAL_ACTION_(\w+)", options)[1]
            found[f"{package}.{message}.{field}"] = (parent, action.replace("_", " "))
    return found


def relationships(readme, known):
    table = markdown.table_of(readme, "relationship", "parent", "child column", "kind", "on delete")
    documented = {plain(row[0]): (plain(row[1]), row[4]) for row in table.rows}
    return [f"{name}: declared is {known.get(name)}, the README says {documented.get(name)}"
            for name in sorted(set(known) | set(documented)) if known.get(name) != documented.get(name)]


# Versions


def versions(readme, tools):
    known = re.search(r"^grpcurl_version=(\S+)", tools, re.MULTILINE)[1]
    said = re.findall(r"grpcurl/cmd/grpcurl@(v[\d.]*\d)", readme)
    if set(said) == {known}:
        return []
    return [f"grpcurl {known} is what runs, the README installs {', '.join(said) or 'none'}"]


# All of it


def read(root, *path):
    with open(os.path.join(root, *path), encoding="utf-8") as file:
        return file.read()


def code_errors(root):
    paths = [path for service in SERVICES
             for path in glob.glob(os.path.join(root, service, "**", "*.cc"), recursive=True)]
    own = "".join(read(path) for path in sorted(glob.glob(os.path.join(root, "*-service", "domain", "errors.cc"))))
    return errors_of(read(root, "common/status/errors.cc") + own, "\n".join(read(path) for path in sorted(paths)))


def contract(root, parse):
    """What `parse` finds in our .proto files, all together."""
    found = {}
    for path in sorted(glob.glob(os.path.join(root, "proto", "*", "v1", "*.proto"))):
        found.update(parse(read(path)))
    return found


def check(root, folder, report, missing):
    readme, wire, operations, clients = (
        read(root, path, "README.md") for path in ("", "proto", "deploy", "deploy/clients"))
    helps = {service: folder.run(f"build/{service}/{service} --help")[1] for service in SERVICES}

    def one(name, problems):
        report.check(name, "\n".join(problems))

    one("deploy/clients/README.md: grpcurl is the version that is run",
        versions(clients, read(root, "tests/support/tools")))
    one("deploy/README.md: commands, against --help", commands(operations, helps))
    one("deploy/README.md: flags, against --help", flags(operations, helps))
    one("deploy/README.md: limits, against --help", limits(operations, helps))
    one("README.md: relationships, against the options", relationships(readme, contract(root, relationships_of)))
    one("proto/README.md: errors, against the code", errors(wire, code_errors(root)))
    one("proto/README.md: errors by method, against the comments of the methods",
        methods(wire, contract(root, methods_of)))
    name = "deploy/README.md: metrics, against both services"
    if "grpcurl" in missing:
        report.skip(name, missing["grpcurl"])
        return
    problems = [secure(folder, root) or folder.start_pair() or load(folder)]
    if not problems[0]:
        deadline = time.monotonic() + PATIENCE
        problems = metrics(operations, scrape(folder))
        while problems and time.monotonic() < deadline:
            time.sleep(0.2)
            problems = metrics(operations, scrape(folder))
    one(name, problems + [folder.stop_pair()])
