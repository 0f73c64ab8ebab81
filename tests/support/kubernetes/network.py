"""Who may connect to whom: network policies, evaluated as Kubernetes defines them."""

import collections
import ipaddress

import objects

# Either a pod (with the labels of its namespace, and its named ports), or an address outside of the cluster.
End = collections.namedtuple("End", "name namespace namespace_labels labels ports address")


def pod_end(name, namespace, labels, namespace_labels=None, ports=None):
    all_labels = {objects.NAMESPACE_NAME: namespace, **(namespace_labels or {})}
    return End(name, namespace, all_labels, labels, ports or {}, None)


def outside(address):
    return End(address, None, {}, {}, {}, ipaddress.ip_address(address))


def end_of(pod):
    return pod_end(pod.name, pod.namespace, pod.labels, ports=pod.ports)


def types_of(policy):
    spec = policy["spec"]
    return spec.get("policyTypes") or ["Ingress"] + (["Egress"] if spec.get("egress") else [])


def governing(policies, end, direction):
    return [
        policy for policy in policies
        if direction in types_of(policy) and end.address is None
        and policy["metadata"].get("namespace", "") == end.namespace
        and objects.matches(policy["spec"].get("podSelector") or {}, end.labels)
    ]


def is_peer(peer, end, policy_namespace):
    block = peer.get("ipBlock")
    if block is not None:
        # Pods have no address here: a block is for what is outside, and one that is for all is found by such an end.
        return (end.address is not None and end.address in ipaddress.ip_network(block["cidr"])
                and not any(end.address in ipaddress.ip_network(each) for each in block.get("except", [])))
    if end.address is not None:
        return False
    if "namespaceSelector" in peer:
        if not objects.matches(peer["namespaceSelector"] or {}, end.namespace_labels):
            return False
    elif end.namespace != policy_namespace:
        return False
    return objects.matches(peer.get("podSelector") or {}, end.labels)


def has_port(rule, target, port, protocol):
    if not rule.get("ports"):
        return True
    for entry in rule["ports"]:
        wanted = entry.get("port")
        if entry.get("protocol", "TCP") != protocol:
            continue
        if isinstance(wanted, str):
            wanted = target.ports.get(wanted, -1)
        if wanted is None or wanted <= port <= entry.get("endPort", wanted):
            return True
    return False


def lets(policies, direction, subject, other, target, port, protocol):
    selected = governing(policies, subject, direction)
    if not selected:
        return True
    section, peers = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    for policy in selected:
        for rule in policy["spec"].get(section) or []:
            whom = not rule.get(peers) or any(
                is_peer(peer, other, policy["metadata"].get("namespace", "")) for peer in rule[peers])
            if whom and has_port(rule, target, port, protocol):
                return True
    return False


def allowed(policies, source, target, port, protocol="TCP"):
    """Whether the source may connect: its policies have to let it out, and those of the target in."""
    return (lets(policies, "Egress", source, target, target, port, protocol)
            and lets(policies, "Ingress", target, source, target, port, protocol))
