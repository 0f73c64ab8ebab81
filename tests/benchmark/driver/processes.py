"""Processes of the benchmark: started, watched, and ended by their ids."""

import json
import os
import random
import socket
import subprocess
import time
import urllib.error
import urllib.request

PATIENCE = 60


class Failure(Exception):
    """Something that the benchmark needs does not work."""


taken = set()


def free_port():
    """Below the range from which the kernel takes the ports of outgoing connections."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            if port not in taken and probe.connect_ex(("127.0.0.1", port)) != 0:
                taken.add(port)
                return port


def await_port(process, port):
    deadline = time.monotonic() + PATIENCE
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        process.must_run()
        if time.monotonic() > deadline:
            raise Failure(f"{process.name} does not listen: {process.log_end()}")
        time.sleep(0.05)


class Process:
    """A server that runs until stop()."""

    def __init__(self, name, command, log, environment=None):
        self.name = name
        self.log = log
        with open(log, "ab") as output:
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                          env=dict(os.environ, **(environment or {})))

    def log_end(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-10:])

    def must_run(self):
        if self.child.poll() is not None:
            raise Failure(f"{self.name} has ended with {self.child.returncode}: {self.log_end()}")

    def pids(self):
        """Its own and those of its workers."""
        pids = [self.child.pid]
        for pid in pids:
            try:
                with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                    pids += [int(child) for child in file.read().split()]
            except FileNotFoundError:
                pass
        return pids

    def stop(self):
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(30)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


def run(command, timeout=300, text=None):
    """Runs a command to its end and returns its output."""
    try:
        done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                              check=False, encoding="utf-8")
    except subprocess.TimeoutExpired:
        raise Failure(f"not over after {timeout} s: {' '.join(command)}") from None
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)}\nended with {done.returncode}: {done.stderr}{done.stdout}")
    return done.stdout


def run_json(command, timeout=300):
    return json.loads(run(command, timeout))


class Mariadb:
    """The server that was started for the benchmark."""

    def __init__(self, url, pid):
        self.user, address = url[len("mysql://"):].split("@")
        self.port = int(address.rsplit(":", 1)[1])
        self.pid = pid

    def url(self, database):
        return f"mysql://{self.user}@127.0.0.1:{self.port}/{database}"

    def execute(self, sql, timeout=1800):
        return run(["mariadb", "--no-defaults", "--host=127.0.0.1", f"--port={self.port}", f"--user={self.user}",
                    "--batch", "--skip-column-names"], timeout, sql)


def metrics(port):
    """{name with labels: value} of a service."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
    except urllib.error.URLError as error:
        raise Failure(f"no metrics on port {port}: {error}") from None
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line and line[0] != "#"}
