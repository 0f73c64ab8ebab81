#!/usr/bin/env python3
"""Checks the READMEs against the services, for tests/docs.

docs loopback                          brings up the loopback of a new network namespace
docs self-test                         shows that the checks notice what is wrong; prints what they did not notice
docs check [--missing PROGRAM=REASON] [--port PRINTED=REAL] [--mariadb SOCKET | --no-mariadb REASON] BUILD TOOLS TEMP
"""

import argparse
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys

import console
import prose
import reference
import self_test
from pair import Folder
from report import Report

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def bring_up_loopback():
    get_flags, set_flags, up = 0x8913, 0x8914, 0x1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, get_flags, request))[1]
        fcntl.ioctl(control, set_flags, struct.pack("16sh14x", b"lo", flags | up))


def texts():
    """All Markdown files of the repository, also those that are not committed yet; the root's first."""
    # The clone may belong to another user, as in a container.
    git = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    found = subprocess.run(git, cwd=ROOT, stdout=subprocess.PIPE, check=False).stdout.decode().splitlines()
    if not found:  # not a git repository
        for folder, subfolders, names in os.walk(ROOT):
            subfolders[:] = [name for name in subfolders if not name.startswith((".", "build", "node_modules"))]
            found += [os.path.relpath(os.path.join(folder, name), ROOT) for name in names if name.endswith(".md")]
    found = [path for path in found if os.path.exists(os.path.join(ROOT, path))]
    return sorted(found, key=lambda path: (path.count("/"), path))


def check(arguments):
    ports = {int(printed): int(real) for printed, real in (pair.split("=") for pair in arguments.port)}
    missing = dict(pair.split("=", 1) for pair in arguments.missing)
    database = console.Database(arguments.mariadb) if arguments.mariadb else arguments.no_mariadb
    report = Report(lambda line: print(line, flush=True))
    folders = []

    def new_folder():
        folders.append(Folder(os.path.join(arguments.temp, str(len(folders))), arguments.build, arguments.tools, ports))
        return folders[-1]

    try:
        paths = texts()
        readmes = [path for path in paths if os.path.basename(path) == "README.md"]
        problems = self_test.problems(ROOT, readmes)
        report.check("the checks notice what is wrong", "\n".join(problems))
        prose.check(ROOT, paths, report)
        for path in readmes:
            console.check_readme(ROOT, path, new_folder, report, missing, database)
        console.check_tour(ROOT, readmes, new_folder(), report)
        console.check_suggestions(ROOT, new_folder(), report, missing)
        reference.check(ROOT, new_folder(), report, missing)
    finally:
        for folder in folders:
            folder.stop_pair()
    print(f"{report.passed} passed, {report.failed} failed, {report.skipped} skipped", flush=True)
    return report.failed == 0 and report.passed > 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("loopback")
    commands.add_parser("self-test")
    checker = commands.add_parser("check")
    checker.add_argument("--missing", action="append", default=[])
    checker.add_argument("--port", action="append", default=[])
    checker.add_argument("--mariadb")
    checker.add_argument("--no-mariadb", default="there is no MariaDB server")
    for name in ("build", "tools", "temp"):
        checker.add_argument(name)
    arguments = parser.parse_args()
    # So that what has been started ends too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if arguments.command == "loopback":
        bring_up_loopback()
    elif arguments.command == "self-test":
        problems = self_test.problems(ROOT, [path for path in texts() if os.path.basename(path) == "README.md"])
        print("\n".join(problems + [f"self test: {len(problems)} wrong"]))
        sys.exit(1 if problems else 0)
    else:
        sys.exit(0 if check(arguments) else 1)


main()
