"""Both services in a folder, started as the README says, and commands beside them."""

import os
import re
import signal
import subprocess
import time

SERVICES = ("user-service", "post-service")
# The ports of the README: public, internal and metrics of each service.
PORTS = {"user-service": (50051, 50061, 9451), "post-service": (50052, 50062, 9452)}
PATIENCE = 30


class Folder:
    """A working folder with `build` in it, in which `build/...`, grpcurl and buf are called as a README prints it."""

    def __init__(self, path, build, tools, ports):
        """`tools`: a folder for PATH. `ports`: {port in a README: port to use}, for those that differ."""
        os.makedirs(path)
        os.symlink(os.path.abspath(build), os.path.join(path, "build"))
        self.path = path
        self.ports = ports
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("CROSSKEY_")}
        self.environment["PATH"] = tools + os.pathsep + self.environment.get("PATH", "")
        self.processes = {}

    def real(self, text):
        return re.sub(r"(?<=:)\d{4,5}\b", lambda port: str(self.ports.get(int(port[0]), port[0])), text)

    def printed(self, text):
        shown = {real: port for port, real in self.ports.items()}
        return re.sub(r"(?<=[:=])\d{4,5}\b", lambda port: str(shown.get(int(port[0]), port[0])), text)

    def script(self, command, prefix=""):
        """One command after the others: what they exported is there."""
        return f"[ ! -f .exported ] || . ./.exported\n{prefix}{self.real(command)}\n"

    def run(self, command, timeout=60):
        """(exit status, output and errors as they come)"""
        asked = re.fullmatch(r"build/([a-z-]+)/\1 healthcheck", command)
        if asked and self.ports:
            command += f" --listen 127.0.0.1:{PORTS[asked[1]][0]}"
        script = self.script(command) + "status=$?\nexport -p >.exported\nexit $status"
        try:
            done = subprocess.run(["bash", "-c", script], cwd=self.path, env=self.environment, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, check=False)
        except subprocess.TimeoutExpired as expired:
            return 124, (expired.output or b"").decode(errors="replace") + f"\nstill running after {timeout} s"
        return done.returncode, self.printed(done.stdout.decode(errors="replace"))

    # Services

    def start(self, service, command=None):
        """Runs `build/.../... serve` until stop(). Its log begins anew."""
        command = command or f"build/{service}/{service} serve"
        listens = []
        if self.ports:
            own, other = PORTS[service], PORTS[SERVICES[1 - SERVICES.index(service)]]
            addresses = zip(("listen", "internal-listen", "metrics-listen", "peer"), own + (other[1],))
            listens = [f" --{flag} 127.0.0.1:{self.ports.get(port, port)}" for flag, port in addresses]
        with open(self.log_path(service), "wb") as log:
            self.processes[service] = subprocess.Popen(
                ["bash", "-c", self.script(command + "".join(listens), "exec ")], cwd=self.path, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def wait(self, service):
        """Empty once it serves, or what is wrong."""
        port = PORTS[service][0]
        deadline = time.monotonic() + PATIENCE
        while True:
            status, output = self.run(f"build/{service}/{service} healthcheck --listen 127.0.0.1:{port}")
            if status == 0:
                return ""
            if self.processes[service].poll() is not None or time.monotonic() > deadline:
                return f"{service} does not serve: {output}\n{self.log(service)}"
            time.sleep(0.1)

    def start_pair(self):
        for service in SERVICES:
            self.start(service)
        return "".join(self.wait(service) for service in SERVICES)

    def stop(self, service):
        """Empty if it ended with exit code 0, or was not running."""
        process = self.processes.pop(service, None)
        if process is None:
            return ""
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return f"{service} was still running {PATIENCE} s after SIGTERM"
        return f"{service} ended with exit code {status}\n{self.log(service)}" if status else ""

    def stop_pair(self):
        return "\n".join(filter(None, [self.stop(service) for service in SERVICES]))

    def log_path(self, service):
        return os.path.join(self.path, f"{service}.log")

    def log(self, service):
        try:
            with open(self.log_path(service), encoding="utf-8", errors="replace") as file:
                return self.printed(file.read())
        except FileNotFoundError:
            return ""
