"""Counts the checks and prints each."""


class Report:
    def __init__(self, out=print):
        self.passed = self.failed = self.skipped = 0
        self.out = out

    def check(self, name, problem):
        """`problem`: empty if the check has passed."""
        if problem:
            self.failed += 1
            self.out(f"FAILED  {name}")
            for line in problem.splitlines():
                self.out(f"        {line}".rstrip())
        else:
            self.passed += 1
            self.out(f"ok      {name}")

    def skip(self, name, reason):
        self.skipped += 1
        self.out(f"skipped {name}: {reason}")
