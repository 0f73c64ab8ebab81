"""The rules for the cluster of NATS, and for the services that use it."""

import posixpath
import re

import nats_config
import network
from objects import matches, mounted_files, NAMESPACE_NAME, quantity, service_of, title_of
from rules import PEERS, rule, server_containers, variables_of
from rules_network import strangers

EVENTS_URL = re.compile(r"(nats|tls)://(?:([^@/]+)@)?([^/@]+)(?:/([A-Za-z0-9_-]+))?$")
PREFIX = "crosskey"
OLDEST = (2, 12, 0)  # of a server that keeps what it has acknowledged, and refuses requests of another form


def configuration_of(overlay, pod):
    """Of a server of NATS: (what is in its file, what is wrong with it)"""
    arguments = pod.spec["containers"][0].get("args", [])
    path = arguments[1] if arguments[:1] == ["--config"] and len(arguments) == 2 else ""
    kind, name, key = mounted_files(pod, pod.spec["containers"][0]).get(path, ("", "", ""))
    found = overlay.find(kind, name) if kind == "ConfigMap" else None
    if found is None:
        return {}, f"{pod.name}: no ConfigMap is mounted as its configuration, {path}"
    try:
        return nats_config.parse(found["data"].get(key, "")), ""
    except ValueError as error:
        return {}, f"{pod.name}: its configuration: {error}"


def names_of(pod):
    """By which each server is reached."""
    owner = pod.owner
    return [f"{owner['metadata']['name']}-{number}.{owner['spec'].get('serviceName')}"
            for number in range(owner["spec"].get("replicas", 1))]


def port_of(address):
    return address.rpartition(":")[2]


@rule("NATS: an odd number of servers that know each other, apart, evicted and replaced one at a time")
def cluster(overlay, _):
    for pod in overlay.event_servers():
        spec, config = pod.owner["spec"], configuration_of(overlay, pod)[0]
        replicas = spec.get("replicas", 1)
        if replicas < 3 or replicas % 2 == 0:
            yield f"{pod.name}: of {replicas} servers, half may be cut off, and then none takes anything"
        if not matches(spec["selector"], pod.labels):
            yield f"{pod.name} does not select its own pods"
        service = overlay.find("Service", spec.get("serviceName", ""))
        if service is None or service["spec"].get("clusterIP") != "None" or \
                not service["spec"].get("publishNotReadyAddresses") or \
                not matches({"matchLabels": service["spec"].get("selector", {"": ""})}, pod.labels):
            yield f"{pod.name}: a server has no name before it is ready, so that the others cannot find it"
        if spec.get("podManagementPolicy") != "Parallel":
            yield f"{pod.name}: the first server waits for others, which are started when it is ready"
        if spec.get("updateStrategy", {}).get("type", "RollingUpdate") != "RollingUpdate" or \
                spec.get("updateStrategy", {}).get("rollingUpdate", {}).get("maxUnavailable", 1) != 1:
            yield f"{pod.name}: an update takes more than one server away"
        budgets = [each for each in overlay.of_kind("PodDisruptionBudget")
                   if matches(each["spec"]["selector"], pod.labels)]
        if len(budgets) != 1 or budgets[0]["spec"].get("maxUnavailable") != 1 or \
                budgets[0]["spec"].get("unhealthyPodEvictionPolicy", "IfHealthyBudget") != "IfHealthyBudget":
            yield f"{pod.name}: more than one server may be evicted at a time"
        apart = pod.spec.get("affinity", {}).get("podAntiAffinity", {}).get(
            "requiredDuringSchedulingIgnoredDuringExecution", [])
        if not [each for each in apart if each["topologyKey"] == "kubernetes.io/hostname"
                and each.get("labelSelector") and matches(each["labelSelector"], pod.labels)]:
            yield f"{pod.name}: two servers may be on one node"
        if "topology.kubernetes.io/zone" not in [each["topologyKey"]
                                                 for each in pod.spec.get("topologySpreadConstraints", [])]:
            yield f"{pod.name} is not spread over zones"
        clustered = config.get("cluster", {})
        port = port_of(clustered.get("listen", ""))
        routes = {f"nats-route://{name}:{port}" for name in names_of(pod)}
        if set(clustered.get("routes", [])) != routes or port != str(pod.ports.get("cluster")):
            yield f"{pod.name}: its routes are not {sorted(routes)}"
        if config.get("server_name") != "$POD_NAME" or {
                "name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}} not in \
                pod.spec["containers"][0].get("env", []):
            yield f"{pod.name}: a server has another name than its pod, or all have the same"
        if not clustered.get("name") or clustered.get("no_advertise") != "true":
            yield f"{pod.name}: clients are told addresses that are in no certificate"


@rule("NATS: what is acknowledged is on a volume that stays and has room for it; an image that keeps it; probes")
def durable(overlay, _):
    for pod in overlay.event_servers():
        config, problem = configuration_of(overlay, pod)
        if problem:
            yield problem
            continue
        stream, container = config.get("jetstream", {}), pod.spec["containers"][0]
        if stream.get("sync_interval") != "always":
            yield f"{pod.name}: what it acknowledges may not be on the disk"
        if stream.get("strict") != "true":
            yield f"{pod.name}: it takes requests that are not of their form"
        claims = {each["metadata"]["name"]: each for each in pod.owner["spec"].get("volumeClaimTemplates", [])}
        at = {mount["mountPath"]: claims[mount["name"]] for mount in container.get("volumeMounts", [])
              if mount["name"] in claims and not mount.get("readOnly")}
        claim = at.get(stream.get("store_dir"))
        if claim is None:
            yield f"{pod.name}: {stream.get('store_dir')} is not in a volume that stays"
        elif nats_config.size(stream.get("max_file_store", "1000T")) > \
                0.9 * quantity(claim["spec"]["resources"]["requests"]["storage"]):
            yield f"{pod.name}: it may store more than its volume has"
        if "Delete" in pod.owner["spec"].get("persistentVolumeClaimRetentionPolicy", {}).values():
            yield f"{pod.name}: its volumes are deleted with it"
        if pod.spec.get("securityContext", {}).get("fsGroup") is None:
            yield f"{pod.name} may not write to its volume"
        version = re.fullmatch(r"nats:(\d+)\.(\d+)\.(\d+)(-scratch|-alpine[\d.]*)?", container["image"])
        if not version or tuple(map(int, version.groups()[:3])) < OLDEST:
            yield f"{pod.name}: {container['image']} is no nats of {'.'.join(map(str, OLDEST))} or later"
        # That others are away, so that there is no leader, must not have a server restarted.
        wanted = {"startupProbe": "/healthz?js-enabled-only=true", "livenessProbe": "/healthz?js-enabled-only=true",
                  "readinessProbe": "/healthz"}
        for name, path in wanted.items():
            probe = container.get(name, {})
            asked = probe.get("httpGet", {})
            if asked.get("path") != path or asked.get("port") not in ("monitor", pod.ports.get("monitor")):
                yield f"{pod.name}: {name} does not ask for {path} at the port monitor"
            if probe.get("timeoutSeconds", 1) < 2:
                yield f"{pod.name}: {name} has no time for a busy node"
        ports = {"listen": "client", "http": "monitor"}
        for key, name in ports.items():
            if config.get(key) != f"0.0.0.0:{pod.ports.get(name)}":
                yield f"{pod.name}: {key} is {config.get(key)}, not the port {name}"


@rule("NATS: TLS for clients and servers; a service may write its own stream, read the other one's, and nothing else")
def rights(overlay, _):
    for pod in overlay.event_servers():
        config, problem = configuration_of(overlay, pod)
        if problem:
            yield problem
            continue
        container = pod.spec["containers"][0]
        files = mounted_files(pod, container)
        certificate = overlay.find("Certificate", pod.owner["metadata"]["name"])
        secret = certificate["spec"]["secretName"] if certificate else ""
        for where, keys in (("tls", {"cert_file": "tls.crt", "key_file": "tls.key"}),
                            ("cluster", {"cert_file": "tls.crt", "key_file": "tls.key", "ca_file": "ca.crt"})):
            tls = config.get("tls", {}) if where == "tls" else config.get("cluster", {}).get("tls", {})
            for name, key in keys.items():
                if files.get(tls.get(name)) != ("Secret", secret, key):
                    yield f"{pod.name}: {name} of {where} is not {key} of its Certificate"
            if where == "cluster" and tls.get("verify") != "true":
                yield f"{pod.name}: whoever reaches the port of the cluster is a server"
        included = [posixpath.join(posixpath.dirname(container["args"][1]), each) for each in config.get("include", [])]
        if [files.get(each, " ")[0] for each in included] != ["Secret"]:
            yield f"{pod.name}: the passwords are not included from a Secret"
        for problem in nats_config.may_too_much(config, PEERS, PREFIX):
            yield f"{pod.name}: {problem}"
        if certificate is None:
            continue
        spec = certificate["spec"]
        if set(spec.get("dnsNames", [])) != set(names_of(pod)) or spec.get("uris"):
            yield f"{title_of(certificate)} is not for {', '.join(names_of(pod))}"
        if not {"server auth", "client auth"} <= set(spec.get("usages", [])):
            yield f"{title_of(certificate)} is not for both ends of a route"
        issuer = spec["issuerRef"]["name"]
        others = [title_of(each) for each in overlay.of_kind("Certificate")
                  if each["spec"]["issuerRef"]["name"] == issuer and each is not certificate]
        if others:
            yield f"{pod.name}: {', '.join(others)} would be taken for a server"


@rule("events: both services name all servers, look who they are, and say their own user and password")
def clients(overlay, world):
    servers = overlay.event_servers()
    prefixes = set()
    for pod, container in server_containers(overlay):
        has, service = variables_of(overlay, world, pod, container), service_of(pod)
        found = EVENTS_URL.match(has.get("EVENTS", ""))
        if not servers:
            if [name for name in has if name.startswith("EVENTS")]:
                yield f"{pod.name} is told of a NATS that is not there"
            continue
        if not found:
            yield f"{pod.name} does not use {servers[0].name}"
            continue
        scheme, user, hosts, prefix = found.groups()
        prefixes.add(prefix or PREFIX)
        server = servers[0]
        if scheme != "tls":
            yield f"{pod.name}: its password goes over the network in the clear"
        if user != service:
            yield f"{pod.name} says that it is {user}"
        wanted = {f"{name}:{server.ports.get('client')}" for name in names_of(server)}
        if set(hosts.split(",")) != wanted:
            yield f"{pod.name} does not know {sorted(wanted)}"
        files = mounted_files(pod, container)
        certificate = overlay.find("Certificate", server.owner["metadata"]["name"])
        secret = certificate["spec"]["secretName"] if certificate else ""
        if files.get(has.get("EVENTS_CA")) != ("Secret", secret, "ca.crt"):
            yield f"{pod.name}: EVENTS_CA is not ca.crt of the servers' Certificate"
        if [path for path, source in files.items() if source == ("Secret", secret, "tls.key")]:
            yield f"{pod.name} has the key of the servers"
        if files.get(has.get("EVENTS_PASSWORD_FILE")) != ("Secret", f"{service}-nats", "password"):
            yield f"{pod.name}: EVENTS_PASSWORD_FILE is not the password of {service}"
        if has.get("EVENTS_REPLICAS") != str(min(server.owner["spec"].get("replicas", 1), 5)):
            yield f"{pod.name}: a stream is not on every server"
    if prefixes - {PREFIX}:
        yield f"the prefixes are {sorted(prefixes)}, but the rights are for {PREFIX}"


@rule("NATS: only the services reach it, only its servers reach each other, and it reaches nothing else")
def reached(overlay, _):
    policies = overlay.of_kind("NetworkPolicy")
    for pod in overlay.event_servers():
        own = network.end_of(pod)
        others = strangers(overlay) + [(None, network.pod_end("a pod that calls itself nats elsewhere", "other",
                                                              pod.labels, {NAMESPACE_NAME: "other"}))]
        others += [(each.owner["kind"], network.end_of(each)) for each in overlay.pods() if each.name != pod.name]
        others += [("database", network.end_of(each)) for each in overlay.operator_pods()]
        for role, other in others:
            for port in (22, 53, 443, 3306, 4222, 6222, 6443, 8222, 50051, 50061):
                if role == "Deployment" and port == pod.ports.get("client"):
                    if not network.allowed(policies, other, own, port):
                        yield f"{other.name} does not reach {pod.name} at {port}"
                # Whatever the policies of the other end say.
                elif network.lets(policies, "Ingress", own, other, own, port, "TCP"):
                    yield f"{other.name} is let in to {pod.name} at {port}"
                if network.lets(policies, "Egress", own, other, other, port, "TCP") != (role == "dns" and port == 53):
                    yield f"{pod.name} is let out to {other.name} at {port}, or not to DNS"
        for port in (22, 4222, 6222, 8222):
            may = network.allowed(policies, own, own, port)
            if may != (port == pod.ports.get("cluster")):
                yield f"{pod.name} {'reaches' if may else 'does not reach'} its other servers at {port}"
