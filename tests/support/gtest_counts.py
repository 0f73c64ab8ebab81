#!/usr/bin/env python3
"""Sums up the JSON reports of a test program.

Prints "PASSED FAILED SKIPPED", then each failed and each skipped test.
"""

import json
import sys


def main():
    suites = []
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            suites += json.load(file)["testsuites"]
    counts = {"passed": 0, "FAILED": 0, "skipped": 0}
    lines = []
    for suite in suites:
        for test in suite["testsuite"]:
            if test.get("failures"):
                outcome = "FAILED"
            elif test["status"] == "RUN" and test["result"] == "COMPLETED":
                outcome = "passed"
            else:
                outcome = "skipped"  # By itself, or disabled by its name.
            counts[outcome] += 1
            if outcome != "passed":
                lines.append(f"{outcome} {suite['name']}.{test['name']}")
            lines += [failure["failure"] for failure in test.get("failures", [])]
    print(*counts.values())
    print("\n".join(lines))


main()
