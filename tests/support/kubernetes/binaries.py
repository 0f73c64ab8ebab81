"""What the binaries say of themselves: flags, variables, version, health services."""

import os
import re
import subprocess
import tempfile

SERVICES = {"user-service": "CROSSKEY_USER_", "post-service": "CROSSKEY_POST_"}


class Binary:
    def __init__(self, build, name):
        self.name = name
        self.prefix = SERVICES[name]
        self.path = os.path.abspath(os.path.join(build, name, name))
        help_text = self.run(["--help"]).stdout
        self.variables = set(re.findall(r"environment (\w+)", help_text))
        self.flags = set(re.findall(r"^  (?:-\w,)?(--[a-z-]+)", help_text, re.MULTILINE))
        commands = re.search(r"^Command:\n(.*?)\n\n", help_text, re.MULTILINE | re.DOTALL).group(1)
        self.commands = set(re.findall(r"^(?:  command)? +(\w+)(?: \(default\))?: ", commands, re.MULTILINE))
        self.version = self.run(["version"]).stdout.split()[-1]

    def run(self, arguments, variables=None):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("CROSSKEY_")}
        environment.update(variables or {})
        return subprocess.run([self.path, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              universal_newlines=True, timeout=60, check=False)

    def complaint(self, variables, flags):
        """About the values: what `version` with the same flags and variables says, as it reads them first."""
        with tempfile.NamedTemporaryFile() as password:
            values = {key: password.name if key.endswith("_FILE") else value for key, value in variables.items()}
            ran = self.run(["version", *flags], values)
        return "" if ran.returncode == 0 else ran.stderr.strip() or f"exit code {ran.returncode}"
