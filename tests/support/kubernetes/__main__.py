#!/usr/bin/env python3
"""Checks deploy/kubernetes, for tests/kubernetes: renders every overlay, validates it, and holds it to the rules.

kubernetes --build DIR --temp DIR (--kustomize NAME=PATH... | --missing kustomize=REASON) [--missing TOOL=REASON]...
           [--crds GROUP=DIR]... [--buf PATH]

The first kustomize renders, the others have to give the same; each is a kustomize or a kubectl. What needs a missing
tool is skipped: kustomize-new, the CRDs of a group (crds/GROUP), buf.
"""

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.append(os.path.join(os.path.dirname(HERE), "docs"))

import binaries  # noqa: E402
import rules  # noqa: E402
import rules_access  # noqa: E402,F401
import rules_databases  # noqa: E402,F401
import rules_events  # noqa: E402,F401
import rules_network  # noqa: E402,F401
import rules_objects  # noqa: E402,F401
import rules_processes  # noqa: E402,F401
import rules_security  # noqa: E402,F401
import schema  # noqa: E402
import self_test  # noqa: E402
from objects import Overlay  # noqa: E402
from report import Report  # noqa: E402

MANIFESTS = os.path.join(ROOT, "deploy", "kubernetes")
KUBERNETES = ("1.30", "1.37")  # the oldest version that the README names, and the newest that there are schemas of
GROUPS = ("k8s.mariadb.com", "monitoring.coreos.com", "gateway.networking.k8s.io", "cert-manager.io")


def folders(kind):
    path = os.path.join(MANIFESTS, kind)
    return sorted(name for name in os.listdir(path) if os.path.isdir(os.path.join(path, name)))


def render(program, folder):
    """(text, problem)"""
    command = "kustomize" if os.path.basename(program) == "kubectl" else "build"
    ran = subprocess.run([program, command, folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         universal_newlines=True, timeout=120, check=False)
    # A deprecated field is a warning.
    return ran.stdout, ran.stderr.strip() if ran.returncode or ran.stderr.strip() else ""


def targets(temp):
    """{name: folder}: the overlays, and what no overlay uses by itself."""
    found = {name: os.path.join(MANIFESTS, "overlays", name) for name in folders("overlays")}
    production = found["production"]
    for name in (self_test.MONITORED, self_test.ROUTED):
        component = name.split(", ")[1]
        folder = os.path.join(temp, component)
        os.makedirs(folder)
        with open(os.path.join(folder, "kustomization.yaml"), "w", encoding="utf-8") as file:
            paths = [os.path.relpath(path, os.path.realpath(folder)) for path in (
                production, os.path.join(MANIFESTS, "components", component))]
            file.write("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: crosskey\n"
                       f"resources:\n  - {paths[0]}\ncomponents:\n  - {paths[1]}\n")
        found[name] = folder
    return found


def unused_files(temp):
    """Every file below deploy/kubernetes has to be part of what is rendered."""
    used, seen, waiting = set(), set(), list(targets(os.path.join(temp, "unused")).values())
    while waiting:
        folder = os.path.realpath(waiting.pop())
        if folder in seen:
            continue
        seen.add(folder)
        with open(os.path.join(folder, "kustomization.yaml"), encoding="utf-8") as file:
            text = file.read()
        used.add(os.path.join(folder, "kustomization.yaml"))
        for name in re.findall(r"^ +- (?:path: )?([\w./-]+)$|\[([^\]]*)\]", text, re.MULTILINE):
            for each in (name[0] or name[1]).replace("'", "").split(","):
                path = os.path.realpath(os.path.join(folder, each.strip()))
                if os.path.isdir(path):
                    waiting.append(path)
                used.add(path)
    files = [os.path.join(folder, name) for folder, _, names in os.walk(MANIFESTS) for name in names]
    return "\n".join(os.path.relpath(path, ROOT) for path in files if path not in used and not path.endswith(".md"))


def documented():
    """What the README's table says is not in the manifests: {(Secret or ConfigMap, name, key)}."""
    with open(os.path.join(MANIFESTS, "README.md"), encoding="utf-8") as file:
        return set(re.findall(r"^\| (Secret|ConfigMap) `([\w-]+)` \| `([\w.-]+)` \|", file.read(), re.MULTILINE))


class World:
    """What the rules know besides the overlay."""

    def __init__(self, build):
        self.binaries = {name: binaries.Binary(build, name) for name in binaries.SERVICES}
        self.documented = documented()
        self.known_health = {}

    def binary(self, image):
        # The place of the registry does not matter.
        found = re.search(r"(?:^|/)crosskey/([\w-]+)(?::|@|$)", image)
        return self.binaries.get(found.group(1)) if found else None

    def prefix(self, image):
        binary = self.binary(image)
        return binary.prefix if binary else ""

    def health_services(self, service):
        """Those that the running service knows; None if it could not be asked."""
        return self.known_health.get(service)

    def ask_health(self, buf, temp, asked):
        """Of the names that are asked for. Returns what went wrong."""
        for name, binary in self.binaries.items():
            ports = free_ports(3)
            addresses = [f"127.0.0.1:{port}" for port in ports]
            command = [binary.path, "serve", "--db", f"sqlite:{temp}/{name}.db", "--listen", addresses[0],
                       "--internal-listen", addresses[1], "--metrics-listen", addresses[2], "--peer", "127.0.0.1:1"]
            with open(os.path.join(temp, f"{name}.log"), "w", encoding="utf-8") as log:
                process = subprocess.Popen(command, stdout=log, stderr=log)
            try:
                states = {each: health(buf, addresses[0], each) for each in sorted(asked | {"nobody's"})}
            finally:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
            if states.pop("nobody's") != "NOT_FOUND":
                return f"{name} knows any name"
            self.known_health[name] = {each for each, state in states.items() if state in ("SERVING", "NOT_SERVING")}
        return ""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def health(buf, address, service):
    """What the service says of itself; NOT_FOUND for a name that it does not know."""
    deadline = time.monotonic() + 30
    while True:
        ran = subprocess.run([buf, "curl", "--protocol", "grpc", "--http2-prior-knowledge", "-d",
                              f'{{"service": "{service}"}}', f"http://{address}/grpc.health.v1.Health/Check"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=30,
                             check=False)
        if '"not_found"' in ran.stderr:
            return "NOT_FOUND"
        state = re.search(r'"status": *"(\w+)"', ran.stdout)
        if state:
            return state.group(1)
        if time.monotonic() > deadline:
            return ran.stderr
        time.sleep(0.1)


def check(arguments):
    report = Report(lambda line: print(line, flush=True))
    missing = dict(pair.split("=", 1) for pair in arguments.missing)
    if not arguments.kustomize:
        report.skip("everything", missing.get("kustomize", "there is no kustomize"))
        return report
    overlays = check_rendering(arguments, report, missing)
    if overlays:
        check_schemas(arguments, report, missing, overlays)
        check_rules(arguments, report, missing, overlays)
    return report


def check_rendering(arguments, report, missing):
    overlays, failed = [], False
    (first, renderer), *others = [pair.split("=", 1) for pair in arguments.kustomize]
    for name, folder in targets(arguments.temp).items():
        text, problem = render(renderer, folder)
        report.check(f"{name}: renders with {first}", problem)
        failed = failed or bool(problem)
        overlays.append(Overlay(name, text))
        for title, other in others:
            again, problem = render(other, folder)
            same = Overlay(name, again).objects == overlays[-1].objects
            report.check(f"{name}: renders the same with {title}", problem or ("" if same else "it is not the same"))
    if "kustomize-new" in missing:
        report.skip("rendering with a newer kustomize", missing["kustomize-new"])
    report.check("every file is part of an overlay", unused_files(arguments.temp))
    return [] if failed else overlays


def check_schemas(arguments, report, missing, overlays):
    crds = dict(pair.split("=", 1) for pair in arguments.crds)
    absent = [group for group in GROUPS if group not in crds]
    schemas = schema.Schemas(KUBERNETES, crds, absent)
    for overlay in overlays:
        known = [each for each in overlay.objects if schemas.has(each)]
        report.check(f"{overlay.name}: valid, {len(known)} objects, Kubernetes {' and '.join(KUBERNETES)}",
                     "\n".join(filter(None, map(schemas.problem, known))))
        for group in absent:
            left_out = [each["kind"] for each in overlay.objects if each["apiVersion"].startswith(group + "/")]
            if left_out:
                reason = missing.get("crds/" + group, "there is no schema")
                report.skip(f"{overlay.name}: valid: {', '.join(sorted(set(left_out)))}", reason)
    for what, broken in schema.mistakes(overlays).items():
        if schemas.has(broken):
            report.check(f"validation notices {what}", "" if schemas.problem(broken) else "it did not")


def check_rules(arguments, report, missing, overlays):
    world = World(arguments.build)
    # With TLS the probes name no service; `healthcheck` asks for readiness.
    asked = {"readiness"} | {container.get(probe, {}).get("grpc", {}).get("service", "")
             for overlay in overlays for _, container in rules.server_containers(overlay)
             for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    if arguments.buf:
        report.check("the services say which health services they know",
                     world.ask_health(arguments.buf, arguments.temp, asked))
    else:
        report.skip("the health services of the running services", missing.get("buf", "there is no buf"))
    for overlay in overlays:
        for name, function in rules.RULES.items():
            report.check(f"{overlay.name}: {name}", "\n".join(sorted(set(function(overlay, world)))))
    for name, problem in self_test.missed(overlays, world).items():
        count = len(self_test.MISTAKES.get(name, []))
        report.check(f"{count} mistakes are noticed by: {name}", problem and "not noticed: " + problem)
    report.check(f"{len(self_test.CONNECTIONS)} connections are judged as Kubernetes does", self_test.connections())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--kustomize", "--missing", "--crds"):
        parser.add_argument(name, action="append", default=[])
    parser.add_argument("--buf")
    parser.add_argument("--build", required=True)
    parser.add_argument("--temp", required=True)
    arguments = parser.parse_args()
    # So that what has been started ends too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    report = check(arguments)
    print(f"{report.passed} passed, {report.failed} failed, {report.skipped} skipped")
    sys.exit(1 if report.failed else 0)


main()
