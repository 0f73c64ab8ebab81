"""What the binaries say of themselves: flags, variables, version, health services."""

import json
import os
import re
import subprocess
import tempfile

SERVICES = {"user-service": "CROSSKEY_USER_", "post-service": "CROSSKEY_POST_"}

# (the end of a variable's name, the kind of its file)
FILES = (("_CERT", "certificate"), ("_CA", "certificate"), ("_KEY", "key"), ("_POLICY", "policy"),
         ("_TOKENS", "tokens"), ("_JWT_KEYS", "jwks"), ("_FILE", "password"))
TOKENS = {"tokens": [{"name": "stand-in", "sha256": "0" * 64}]}
# The public key of an example in RFC 7517.
JWKS = {"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "1",
                  "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
                  "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}


def stand_in(folder, variable, policy):
    """The path of a file for the variable, which is made if it is not there; nothing if no file belongs to it."""
    kind = next((kind for end, kind in FILES if variable.endswith(end)), None)
    if kind is None:
        return None
    path = os.path.join(folder, kind)
    if kind in ("certificate", "key"):
        if not os.path.exists(path):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                            "-nodes", "-days", "2", "-subj", "/CN=stand-in", "-addext", "subjectAltName=DNS:stand-in",
                            "-keyout", os.path.join(folder, "key"), "-out", os.path.join(folder, "certificate")],
                           stderr=subprocess.DEVNULL, check=True)
        return path
    texts = {"policy": policy, "tokens": json.dumps(TOKENS), "jwks": json.dumps(JWKS)}
    with open(path, "w", encoding="utf-8") as file:
        file.write(texts.get(kind, ""))
    return path


class Binary:
    def __init__(self, build, name):
        self.name = name
        self.prefix = SERVICES[name]
        self.path = os.path.abspath(os.path.join(build, name, name))
        help_text = self.run(["--help"]).stdout
        self.variables = set(re.findall(r"environment (\w+)", help_text))
        self.flags = set(re.findall(r"^  (?:-\w,)?(--[a-z-]+)", help_text, re.MULTILINE))
        commands = re.search(r"^Command:\n(.*?)\n\n", help_text, re.MULTILINE | re.DOTALL).group(1)
        self.commands = set(re.findall(r"^(?:  command)? +([\w-]+)(?: \(default\))?: ", commands, re.MULTILINE))
        self.version = self.run(["version"]).stdout.split()[-1]

    def run(self, arguments, variables=None):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("CROSSKEY_")}
        environment.update(variables or {})
        return subprocess.run([self.path, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              universal_newlines=True, timeout=60, check=False)

    def complaint(self, variables, flags, policy="{}"):
        """About the values: what `version` with the same flags and variables says, as it reads them first. If they are
        right, and name a policy, what `check-policy` says of it. Files that only a pod has are replaced by others of
        their kind."""
        with tempfile.TemporaryDirectory() as folder:
            values = {key: stand_in(folder, key, policy) or value for key, value in variables.items()}
            ran = self.run(["version", *flags], values)
            if ran.returncode == 0 and values.get(self.prefix + "POLICY"):
                ran = self.run(["check-policy", *flags], values)
        return "" if ran.returncode == 0 else ran.stderr.strip() or f"exit code {ran.returncode}"
