"""The rules that every rendered overlay has to keep.

A rule is a function of the overlay and of what else is known. It yields what breaks the rule. This file has what the
rules share. The rules are in rules_*.py; importing these files adds the rules to RULES.
"""

import re

from objects import containers_of

PEERS = {"user-service": "post-service", "post-service": "user-service"}
DATABASE_URL = re.compile(r"mysql://([^@:/]+)@(.+):(\d+)/([^/]+)$")

RULES = {}


def rule(name):
    def add(function):
        RULES[name] = function
        return function
    return add


def server_containers(overlay):
    return [(pod, container) for pod in overlay.servers() for container in containers_of(pod.spec)]


def all_containers(overlay):
    return [(pod, container) for pod in overlay.pods() for container in containers_of(pod.spec)]


def database_of(overlay, pod):
    """The value of CROSSKEY_*_DB."""
    for container in containers_of(pod.spec):
        for key, value in overlay.environment(pod, container).items():
            if re.fullmatch(r"CROSSKEY_[A-Z]+_DB", key):
                return value
    return ""


def hosts_of(url):
    """The hosts of a match of DATABASE_URL."""
    return [server.rsplit(":", 1)[0] for server in f"{url.group(2)}:{url.group(3)}".split(",")]


def is_galera(mariadb):
    return mariadb["spec"].get("galera", {}).get("enabled", False)


def hosts_of_mariadb(mariadb):
    """The hosts by which a MariaDB of the operator is reached: its Service, or each server of a cluster."""
    name = mariadb["metadata"]["name"]
    if not is_galera(mariadb):
        return {name}
    return {f"{name}-{number}.{name}-internal" for number in range(mariadb["spec"]["replicas"])}


def is_mysql(overlay, pod):
    return database_of(overlay, pod).startswith("mysql://")


def autoscaler_of(overlay, pod):
    for each in overlay.of_kind("HorizontalPodAutoscaler"):
        target = each["spec"]["scaleTargetRef"]
        if (target["kind"], target["name"]) == (pod.owner["kind"], pod.owner["metadata"]["name"]):
            return each
    return None


def replicas_of(overlay, pod):
    """(at least, at most)"""
    autoscaler = autoscaler_of(overlay, pod)
    if autoscaler:
        return autoscaler["spec"].get("minReplicas", 1), autoscaler["spec"]["maxReplicas"]
    replicas = pod.owner["spec"].get("replicas", 1)
    return replicas, replicas


def count_of(value, total, round_up):
    """A number of pods or a percentage of them."""
    if isinstance(value, int):
        return value
    share = int(value.rstrip("%")) * total
    return -(-share // 100) if round_up else share // 100


def variables_of(overlay, world, pod, container):
    """What the binary is told, by variables or by flags, under the names of the variables without their prefix."""
    prefix = world.prefix(container["image"])
    found = {name[len(prefix):]: value for name, value in overlay.environment(pod, container).items()
             if prefix and name.startswith(prefix) and value}
    for argument in container.get("args", [])[1:]:
        flag, _, value = argument.partition("=")
        found[flag[2:].upper().replace("-", "_")] = value or "1"
    return found


def has_tls(overlay, world, pod, container):
    return "TLS_CERT" in variables_of(overlay, world, pod, container)


def policy_of(overlay):
    """The text of the access policy."""
    found = overlay.find("ConfigMap", "crosskey-policy")
    return (found or {}).get("data", {}).get("policy.json", "{}")
