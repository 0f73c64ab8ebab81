"""Rules. Who reaches whom."""

import ipaddress

import network
from objects import service_of, title_of
from rules import database_of, DATABASE_URL, hosts_of, hosts_of_mariadb, is_galera, PEERS, rule


@rule("network policies cover every pod, in both directions")
def covered(overlay, _):
    policies = overlay.of_kind("NetworkPolicy")
    for pod in overlay.pods() + overlay.operator_pods():
        for direction in ("Ingress", "Egress"):
            if not network.governing(policies, network.end_of(pod), direction):
                yield f"no policy is about the {direction} of {pod.name}"


# The label that implementations of the Gateway API give to what they make for a Gateway.
GATEWAY = {"gateway.networking.k8s.io/gateway-name": "crosskey"}


def strangers(overlay):
    """Pods that may do something or other, and who they are; addresses outside; all but our own pods."""
    here, client, clients = overlay.namespace, {"crosskey/client": "true"}, {"crosskey/clients": "true"}
    return [
        ("client", network.pod_end("a client in the namespace", here, client)),
        ("client", network.pod_end("a client in a namespace that is let in", "shop", client, clients)),
        (None, network.pod_end("a client in another namespace", "other", client)),
        (None, network.pod_end("a pod that is no client in a namespace that is let in", "shop", {"app": "x"}, clients)),
        (None, network.pod_end("a pod without labels in the namespace", here, {})),
        (None, network.pod_end("a pod that calls itself user-service elsewhere", "other", {
            "app.kubernetes.io/name": "user-service", "app.kubernetes.io/component": "server",
            "app.kubernetes.io/part-of": "crosskey"})),
        (None, network.pod_end("a pod that calls itself post-service elsewhere", "other", {
            "app.kubernetes.io/name": "post-service", "app.kubernetes.io/component": "server",
            "app.kubernetes.io/part-of": "crosskey"})),
        ("gateway", network.pod_end("a proxy of the Gateway", here, GATEWAY)),
        (None, network.pod_end("a proxy of a Gateway elsewhere", "other", GATEWAY)),
        ("monitoring", network.pod_end("Prometheus", "monitoring", {"app.kubernetes.io/name": "prometheus"})),
        ("operator", network.pod_end("the mariadb-operator", "mariadb-operator",
                                     {"app.kubernetes.io/name": "mariadb-operator"})),
        ("dns", network.pod_end("the DNS server", "kube-system", {"k8s-app": "kube-dns"})),
        (None, network.pod_end("another pod of kube-system", "kube-system", {"k8s-app": "other"})),
        (None, network.outside("198.51.100.7")),
        (None, network.outside("10.0.0.1")),
        (None, network.outside("169.254.169.254")),
        (None, network.outside("2001:db8::7")),
    ]


@rule("only clients reach the public port, only the other service the internal one, only monitoring the metrics")
def ingress(overlay, _):
    policies = overlay.of_kind("NetworkPolicy")
    sources = [(f"{pod.owner['kind']} {service_of(pod)}", network.end_of(pod)) for pod in overlay.pods()]
    sources += strangers(overlay)
    for pod in overlay.pods():
        target = network.end_of(pod)
        wanted = {}
        if pod.owner["kind"] == "Deployment":
            public = ("client", "gateway") if overlay.of_kind("Gateway") else ("client",)
            wanted = {pod.ports.get("grpc"): public, pod.ports.get("metrics"): ("monitoring",),
                      pod.ports.get("internal"): (f"Deployment {PEERS.get(service_of(pod))}",)}
        if pod.owner["kind"] == "StatefulSet":
            wanted = {pod.ports.get("client"): [f"Deployment {service}" for service in PEERS],
                      pod.ports.get("cluster"): [f"StatefulSet {service_of(pod)}"]}
        for port in sorted({22, 80, 50051, 50052, 50061, 50062, 9451, 9452} | set(pod.ports.values())):
            for role, source in sources:
                if role in wanted.get(port, ()):
                    if not network.allowed(policies, source, target, port):
                        yield f"{source.name} does not reach the port {port} of {pod.name}"
                # Whatever the source's own policies say.
                elif network.lets(policies, "Ingress", target, source, target, port, "TCP"):
                    yield f"{source.name} is let in to the port {port} of {pod.name}"


@rule("routes lead from a listener to the public port of a Service, and name what is public")
def routes(overlay, _):
    everybodys = {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    gateways = {each["metadata"]["name"]: each for each in overlay.of_kind("Gateway")}
    listeners = {(name, listener["name"]): listener["port"] for name, each in gateways.items()
                 for listener in each["spec"]["listeners"]}
    used = set()
    for each in overlay.of_kind("GRPCRoute"):
        title, name = title_of(each), each["metadata"]["name"]
        service = overlay.find("Service", name)
        ports = [port["port"] for port in service["spec"]["ports"]] if service else []
        for parent in each["spec"]["parentRefs"]:
            key = (parent["name"], parent.get("sectionName"))
            used.add(key)
            if listeners.get(key) not in ports:
                yield f"{title} hangs on {key}, which is no listener with the port of the Service {name}"
        short = name.split("-")[0]
        public = everybodys | {f"{short}.v1.{short.capitalize()}Service"}
        for entry in each["spec"]["rules"]:
            named = {match.get("method", {}).get("service") for match in entry.get("matches", [{}])}
            if not named <= public:
                yield f"{title} lets in {named - public}"
            for backend in entry["backendRefs"]:
                if backend["name"] != name or backend["port"] not in ports:
                    yield f"{title} leads to {backend['name']}:{backend['port']}"
    for key in set(listeners) - used:
        yield f"the listener {key} has no route"


@rule("pods reach the other service, DNS and their database, and nothing else")
def egress(overlay, _):
    policies = overlay.of_kind("NetworkPolicy")
    for pod in overlay.pods():
        source = network.end_of(pod)
        for role, target in strangers(overlay):
            for port, protocol in ((53, "UDP"), (53, "TCP"), (443, "TCP"), (3306, "TCP"), (6443, "TCP"), (80, "TCP")):
                may = network.allowed(policies, source, target, port, protocol)
                if may != (role == "dns" and port == 53):
                    yield f"{pod.name} {'reaches' if may else 'does not reach'} {target.name} at {port}/{protocol}"
        yield from database_egress(overlay, policies, pod, source)
    for pod in overlay.operator_pods():
        yield from database_servers(overlay, policies, pod)


# Between the servers of a cluster: replication, and two ways to get what was missed.
CLUSTER_PORTS = ((4567, "TCP"), (4567, "UDP"), (4568, "TCP"), (4444, "TCP"))
AGENT_PORT = 5555  # by which the operator asks a server of a cluster


def database_servers(overlay, policies, pod):
    """Whom a database server of the operator reaches, and who reaches it."""
    own, galera = network.end_of(pod), is_galera(pod.owner)
    others = strangers(overlay) + [("ours" if DATABASE_URL.match(database_of(overlay, each)) else None,
                                    network.end_of(each)) for each in overlay.pods()]
    for role, other in others:
        for port in (22, 53, 443, 3306, 4567, 4568, 4444, 5555, 6443, 50051, 50061):
            # A server of a cluster asks the API server, whose address nobody knows here.
            wanted = galera and (role == "dns" and port == 53 or other.address is not None and port in (443, 6443))
            may = network.allowed(policies, own, other, port)
            if may != wanted:
                yield f"{pod.name} {'reaches' if may else 'does not reach'} {other.name} at {port}"
            wanted = (port == 3306 and role in ("ours", "operator")
                      or galera and port == AGENT_PORT and role == "operator")
            may = network.allowed(policies, other, own, port)
            if may != wanted:
                yield f"{other.name} {'reaches' if may else 'does not reach'} {pod.name} at {port}"
    for port, protocol in (*CLUSTER_PORTS, (22, "TCP"), (AGENT_PORT, "TCP")):
        may = network.allowed(policies, own, own, port, protocol)
        if may != (galera and (port, protocol) in CLUSTER_PORTS):
            yield f"{pod.name} {'reaches' if may else 'does not reach'} its other servers at {port}/{protocol}"


def database_egress(overlay, policies, pod, source):
    blocks = [peer["ipBlock"] for policy in network.governing(policies, source, "Egress")
              for entry in policy["spec"].get("egress") or [] for peer in entry.get("to") or [] if "ipBlock" in peer]
    found = DATABASE_URL.match(database_of(overlay, pod))
    if not found:
        if blocks:
            yield f"{pod.name} has no database server, but reaches {blocks}"
        return
    port = int(found.group(3))
    servers = [each for each in overlay.operator_pods() if set(hosts_of(found)) <= hosts_of_mariadb(each.owner)]
    targets = [network.end_of(each) for each in servers]
    for block in blocks:
        cidr = ipaddress.ip_network(block["cidr"])
        if cidr.num_addresses > 256:
            yield f"{pod.name}: {cidr} is more than a database server"
        targets.append(network.outside(str(cidr[0])))
    if not targets:
        yield f"{pod.name}: nothing says where {found.group(2)} is"
    for target in targets:
        if not network.allowed(policies, source, target, port):
            yield f"{pod.name} does not reach its database, {target.name} at {port}"
        if network.allowed(policies, source, target, 22):
            yield f"{pod.name} reaches more than the database of {target.name}"
