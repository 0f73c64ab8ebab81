"""Runs what the READMEs show, as they print it, and compares the outputs.

Which blocks are looked at:

- a console session, a fenced block that begins with `$ `: each command is run, in the order of the file, beside a pair
  of services of the file's own. PROGRAMS are those that are run. `serve` takes the place of the service of that name.
- a log, a fenced block of lines that begin with a time: how the log of one of the services began.
- a fenced block of SQL: executed as root of a server that is gone afterwards.
- the output of deploy/quickstart, a fenced block with the line `== Walk-through`: that chapter is compared with what
  build/deploy/crosskey-walkthrough prints, and the lines around it have to be in deploy/quickstart. The calls that this
  suggests at its end have to succeed.

Nothing else is run: neither diagrams and code, nor commands in indented blocks and tables, which install, build, test
or go on for ever.
"""

import itertools
import json
import os
import re
import subprocess
import time

import markdown
import matching
from pair import SERVICES, Folder

PROGRAMS = ("grpcurl", "buf", "build", "export")
PATIENCE = 20  # seconds until what is read has to be as it is shown

READS = re.compile(r"^grpcurl .*(/(Get|BatchGet|List)\w*| list| describe .*)$"
                   r"|^buf curl .*(--list-methods|/(Get|BatchGet|List))|healthcheck$", re.DOTALL)
WALK = "== Walk-through"


def program(command):
    return re.split(r"[ /]", command)[0]


def is_log(block):
    lines = block.text.splitlines()
    return bool(lines) and all(line == matching.GAP or re.match(matching.TIME + " ", line) for line in lines)


def is_tour(block):
    return WALK in block.text.splitlines()


def is_serve(command):
    return re.fullmatch(r"build/(?P<service>[a-z-]+)/(?P=service) serve", command)


def and_more(shown):
    """A log goes on."""
    return "\n".join(filter(None, [shown, matching.GAP]))


def shows_error(command):
    return bool(re.match(r'ERROR:|\{\s*"code":', command.shown))


class Console:
    """The console sessions of one README."""

    def __init__(self, name, text, folder, report, missing, database=None):
        """`missing`: {program: why there is none}. `database`: Database, or why there is none."""
        self.name = name
        self.text = text
        self.folder = folder
        self.report = report
        self.missing = missing
        self.database = database
        self.known = matching.Known()

    def run(self):
        for block in markdown.blocks(self.text):
            where = f"{self.name}:{block.line}"
            if markdown.is_console(block):
                self.session(block)
            elif any(line.startswith(markdown.PROMPT) for line in block.text.splitlines()):
                self.report.check(where, "a console session has to begin with a command")
            elif is_log(block):
                self.report.check(f"{where} the log", self.log_problem(block.text))
            elif block.language == "sql":
                self.sql(where, block.text)

    # The log of either service will do: the block does not say whose it is.
    def log_problem(self, shown):
        problems = [matching.compare(and_more(shown), self.folder.log(service), matching.Known())
                    for service in SERVICES]
        return "" if "" in problems else problems[0]

    def sql(self, where, text):
        if isinstance(self.database, str):
            self.report.skip(f"{where} SQL", self.database)
        else:
            self.report.check(f"{where} SQL", self.database.execute(text))
            # "Then, with each password in a file"
            for user, password in re.findall(r"CREATE USER crosskey_(\w+)@\S+ IDENTIFIED BY '([^']*)'", text):
                with open(os.path.join(self.folder.path, f"{user}.pw"), "w", encoding="utf-8") as file:
                    file.write(password + "\n")

    def session(self, block):
        for command in markdown.commands(block):
            name = f"{self.name}:{command.line} {' '.join(command.command.replace(chr(92) + chr(10), ' ').split())}"
            reason = self.missing.get(program(command.command), "")
            # The ids that buf sees depend on what grpcurl has made before.
            if program(command.command) == "buf":
                reason = reason or self.missing.get("grpcurl", "")
            if program(command.command) not in PROGRAMS:
                reason = f"{program(command.command)} is not among the programs that are run: {', '.join(PROGRAMS)}"
            if "mysql://" in block.text and isinstance(self.database, str):
                reason = self.database
            if reason:
                self.report.skip(name, reason)
            else:
                self.report.check(name, self.problem(command))

    def problem(self, command):
        served = is_serve(command.command)
        if served:
            return self.serve(served["service"], command)
        deadline = time.monotonic() + PATIENCE
        while True:
            status, output = self.folder.run(command.command)
            problem = self.difference(command, status, output)
            # What is read may take a moment to be so. If the other service has not been found yet, nothing is stored.
            again = READS.search(command.command) or "Code: Unavailable" in output
            if not problem or not again or time.monotonic() > deadline:
                return problem
            time.sleep(0.1)

    def difference(self, command, status, output):
        if (status != 0) != shows_error(command):
            return f"exit code {status}\n{output}"
        if command.shown.strip() == matching.GAP:
            return ""
        return matching.compare(command.shown, output, self.known)

    def serve(self, service, command):
        problem = self.folder.stop(service)
        self.folder.start(service, command.command)
        problem = problem or self.folder.wait(service)
        return problem or matching.compare(and_more(command.shown), self.folder.log(service), self.known)


class Database:
    """A MariaDB server that nobody needs afterwards."""

    def __init__(self, socket):
        self.socket = socket

    def execute(self, sql):
        """Empty, or what is wrong."""
        done = subprocess.run(["mariadb", "--no-defaults", f"--socket={self.socket}", "--user=root"],
                              input=sql.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return done.stdout.decode(errors="replace") if done.returncode else ""


def canonical(walk):
    """With the answers, which are indented by five spaces, in one layout: the order of metadata differs each time."""
    lines = []
    for is_answer, group in itertools.groupby(walk.splitlines(), key=lambda line: line.startswith(5 * " ")):
        group = list(group)
        if is_answer:
            try:
                group = json.dumps(json.loads("\n".join(group)), indent=1, sort_keys=True).splitlines()
            except ValueError:  # shortened: line by line, then
                pass
        lines += group
    return "\n".join(lines).strip("\n")


def tour_problem(shown, walk, script):
    """`walk`: what the walk-through has printed. `script`: the text of deploy/quickstart."""
    lines = shown.splitlines()
    begin = lines.index(WALK)
    ends = [number for number, line in enumerate(lines) if line.startswith("== ") and number > begin]
    end = ends[0] if ends else len(lines)
    # The script prints an empty line before the next chapter.
    problem = matching.compare(canonical("\n".join(lines[begin + 1:end])), canonical(walk), matching.Known())
    said = script.replace("$(user_address)", "127.0.0.1:50051").replace("$(post_address)", "127.0.0.1:50052")
    absent = [f"deploy/quickstart does not print: {line}" for line in lines[:begin] + lines[end:]
              if line and line != matching.GAP and f'echo "{line}"' not in said]
    return "\n".join(filter(None, [problem] + absent))


def blocks_of(root, readmes):
    """Of all of them."""
    found = []
    for path in readmes:
        with open(os.path.join(root, path), encoding="utf-8") as file:
            found += markdown.blocks(file.read())
    return found


def check_tour(root, readmes, folder, report):
    block = next((block for block in blocks_of(root, readmes) if is_tour(block)), None)
    name = "the output of deploy/quickstart, as a README shows it"
    if block is None:
        report.check(name, "no README shows it")
    elif not os.access(os.path.join(folder.path, "build/deploy/crosskey-walkthrough"), os.X_OK):
        report.skip(name, "build/deploy/crosskey-walkthrough has not been built")
    else:
        problem = folder.start_pair()
        if not problem:
            _, walk = folder.run("build/deploy/crosskey-walkthrough 127.0.0.1:50051 127.0.0.1:50052")
            with open(os.path.join(root, "deploy/quickstart"), encoding="utf-8") as file:
                problem = tour_problem(block.text, walk, file.read())
        report.check(name, "\n".join(filter(None, [problem, folder.stop_pair()])))


def check_suggestions(root, folder, report, missing):
    """The calls that deploy/quickstart prints at its end, for services that have no data yet."""
    with open(os.path.join(root, "deploy/quickstart"), encoding="utf-8") as file:
        calls = re.findall(r"^  (grpcurl .*)$", file.read(), re.MULTILINE)
    name = "deploy/quickstart: the calls that it suggests"
    if "grpcurl" in missing:
        report.skip(name, missing["grpcurl"])
        return
    problem = folder.start_pair() or ("" if calls else "there is none")
    for call in [] if problem else calls:
        deadline = time.monotonic() + PATIENCE
        status, output = folder.run(call)
        while "Code: Unavailable" in output and time.monotonic() < deadline:
            time.sleep(0.1)
            status, output = folder.run(call)
        problem += f"{call}\n{output}" if status else ""
    report.check(name, "\n".join(filter(None, [problem, folder.stop_pair()])))


def check_readme(root, path, new_folder, report, missing, database):
    """All sessions of one README, if it has any."""
    with open(os.path.join(root, path), encoding="utf-8") as file:
        text = file.read()
    if not any(markdown.is_console(block) or markdown.PROMPT in block.text for block in markdown.blocks(text)):
        return
    folder = new_folder()
    problem = folder.start_pair()
    report.check(f"{path}: both services start as they are printed", problem or starts_problem(root))
    if not problem:
        Console(path, text, folder, report, missing, database).run()
    report.check(f"{path}: both services end with exit code 0 after SIGTERM", folder.stop_pair())


def starts_problem(root):
    with open(os.path.join(root, "README.md"), encoding="utf-8") as file:
        lines = file.read().splitlines()
    absent = [line for line in (f"    build/{service}/{service} serve" for service in SERVICES) if line not in lines]
    return "\n".join(f"README.md does not say: {line}" for line in absent)
