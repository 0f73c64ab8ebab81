"""Rules. How the services are run: arguments, variables, probes, drain, images."""

from objects import containers_of, matches, service_of, title_of
from rules import all_containers, has_tls, PEERS, policy_of, rule, server_containers

PORT_NAMES = {"LISTEN": "grpc", "INTERNAL_LISTEN": "internal", "METRICS_LISTEN": "metrics"}
DRAIN_SECONDS = 12  # what a service may take from SIGTERM to its end: 11.5


@rule("arguments and variables are those of the binary, with values that it takes")
def configuration(overlay, world):
    for pod, container in all_containers(overlay):
        if pod.owner["kind"] == "StatefulSet":
            continue  # NATS, whose configuration has rules of its own
        binary = world.binary(container["image"])
        if binary is None:
            yield f"{pod.name}: the image {container['image']} is none of the services'"
            continue
        if container.get("command"):
            yield f"{pod.name}: a command other than the image's"
        arguments = container.get("args", [])
        expected = "serve" if pod.owner["kind"] == "Deployment" else "migrate"
        if expected not in binary.commands or arguments[:1] != [expected]:
            yield f"{pod.name} does not begin with the command {expected}"
        for argument in arguments[1:]:
            if argument.split("=")[0] not in binary.flags:
                yield f"{pod.name}: {binary.name} has no flag {argument}"
        variables = overlay.environment(pod, container)
        for name in sorted(variables):
            if name not in binary.variables:
                yield f"{pod.name}: {binary.name} has no variable {name}"
        complaint = binary.complaint(variables, arguments[1:], policy_of(overlay))
        if complaint:
            yield f"{pod.name}: {complaint}"


@rule("the addresses that are configured are the ports and services that there are")
def addresses(overlay, world):
    for pod, container in server_containers(overlay):
        variables, prefix = overlay.environment(pod, container), world.prefix(container["image"])
        for suffix, name in PORT_NAMES.items():
            value = variables.get(prefix + suffix, "")
            if value not in (f"0.0.0.0:{pod.ports.get(name)}", f"[::]:{pod.ports.get(name)}"):
                yield f"{pod.name}: {prefix}{suffix} is '{value}', which is not the port {name} on all addresses"
        host, _, port = variables.get(prefix + "PEER", "").rpartition(":")
        service = overlay.find("Service", host)
        if service is None:
            yield f"{pod.name}: there is no service {host}"
            continue
        behind = [each["targetPort"] for each in service["spec"]["ports"] if str(each["port"]) == port]
        peers = [other for other in overlay.servers() if service_of(other) == PEERS.get(service_of(pod))]
        if behind != ["internal"] or not peers or not matches({"matchLabels": service["spec"]["selector"]},
                                                               peers[0].labels):
            yield f"{pod.name}: {host}:{port} is not the internal port of the other service"


@rule("probes ask for what the services answer, at ports that there are")
def probes(overlay, world):
    for pod, container in server_containers(overlay):
        wanted = {"startupProbe": "liveness", "livenessProbe": "liveness", "readinessProbe": "readiness"}
        if has_tls(overlay, world, pod, container):
            yield from probes_with_tls(pod, container, world.binary(container["image"]))
            continue
        for name, service in wanted.items():
            probe = container.get(name, {}).get("grpc")
            if not probe:
                yield f"{pod.name} has no {name} by gRPC"
                continue
            if probe["port"] not in (pod.ports.get("grpc"), pod.ports.get("internal")):
                yield f"{pod.name}: {name} is for the port {probe['port']}, where there is no gRPC"
            asked = probe.get("service", "")
            if asked != service:
                # A database that is away would otherwise have every replica restarted, and again.
                yield f"{pod.name}: {name} asks for '{asked}', not for {service}"
            known = world.health_services(service_of(pod))
            if known is not None and asked not in known:
                yield f"{pod.name}: {service_of(pod)} says nothing about '{asked}'"
            if container[name].get("timeoutSeconds", 1) < 2:
                yield f"{pod.name}: {name} has no time for a busy node"
    for pod in overlay.migrations():
        for container in containers_of(pod.spec):
            if {"startupProbe", "livenessProbe", "readinessProbe"} & set(container):
                yield f"{pod.name} has probes, but serves nothing"


def probes_with_tls(pod, container, binary):
    """The kubelet's gRPC probes cannot speak TLS, and `healthcheck` can ask for readiness only."""
    for name in ("startupProbe", "livenessProbe"):
        if container.get(name, {}).get("tcpSocket", {}).get("port") not in ("grpc", pod.ports.get("grpc")):
            yield f"{pod.name}: {name} does not look whether the public port is there"
    command = container.get("readinessProbe", {}).get("exec", {}).get("command")
    if command != [f"/usr/bin/{binary.name}", "healthcheck"] or "healthcheck" not in binary.commands:
        yield f"{pod.name}: readinessProbe is not the program's healthcheck"
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        if {"grpc", "httpGet"} & set(container.get(name, {})):
            yield f"{pod.name}: {name} does not speak TLS"
        if container.get(name, {}).get("timeoutSeconds", 1) < 2:
            yield f"{pod.name}: {name} has no time for a busy node"


@rule("the drain fits the grace period")
def drain(overlay, _):
    for pod in overlay.servers():
        pause = 0
        for container in containers_of(pod.spec):
            hook = container.get("lifecycle", {}).get("preStop", {})
            if set(hook) != {"sleep"}:
                yield f"{pod.name}: preStop is {sorted(hook) or 'missing'}; the image has nothing to execute"
            pause = max(pause, hook.get("sleep", {}).get("seconds", 0))
        if pause < 3:
            yield f"{pod.name}: {pause} s are too short for every node to hear that the pod ends"
        grace = pod.spec.get("terminationGracePeriodSeconds", 30)
        if grace < pause + DRAIN_SECONDS:
            yield f"{pod.name} is killed after {grace} s, but may need {pause + DRAIN_SECONDS} s"


@rule("the holder of a lease is unique: every replica has a host name of its own")
def leases(overlay, _):
    for pod in overlay.servers():
        for field in ("hostname", "hostNetwork", "setHostnameAsFQDN"):
            if pod.spec.get(field):
                yield f"{pod.name} sets {field}"


@rule("images have the version of the binaries")
def images(overlay, world):
    for pod, container in all_containers(overlay):
        binary = world.binary(container["image"])
        yield from pinned(pod.name, container["image"])
        if binary and container["image"].rpartition(":")[2] != binary.version:
            yield f"{pod.name}: {container['image']} is not of version {binary.version}"
        if binary and binary.name != service_of(pod):
            yield f"{pod.name} runs {binary.name}"
    for each in overlay.of_kind("MariaDB"):
        yield from pinned(title_of(each), each["spec"].get("image", ""))


def pinned(where, image):
    if "@sha256:" not in image and image.rpartition("/")[2].partition(":")[2] in ("", "latest"):
        yield f"{where}: the image '{image}' has no tag, or latest"
