"""The rules for what the objects say of each other: names, labels, selectors, ports, references, and words."""

import re

from objects import (CERTIFICATE_KEYS, CLUSTER_KINDS, containers_of, matches, service_of, sources_of,
                     title_of)
from rules import all_containers, PEERS, rule


@rule("names: labels, one namespace, nothing twice")
def names(overlay, _):
    seen = set()
    for each in overlay.objects:
        metadata = each["metadata"]
        key = (each["apiVersion"].split("/")[0], each["kind"], metadata["name"])
        if key in seen:
            yield f"{title_of(each)} is there twice"
        seen.add(key)
        if each["kind"] not in CLUSTER_KINDS and metadata.get("namespace", "") != overlay.namespace:
            yield f"{title_of(each)} is not in the namespace {overlay.namespace}"
        if each["kind"] not in CLUSTER_KINDS | {"ConfigMap"} and \
                metadata.get("labels", {}).get("app.kubernetes.io/part-of") != "crosskey":
            yield f"{title_of(each)} has no label app.kubernetes.io/part-of: crosskey"
    for pod in overlay.pods():
        for label in ("name", "component", "part-of"):
            if not pod.labels.get(f"app.kubernetes.io/{label}"):
                yield f"the pods of {pod.name} have no label app.kubernetes.io/{label}"
    for service in PEERS:
        if not [pod for pod in overlay.servers() if service_of(pod) == service]:
            yield f"there is no Deployment of {service}"


@rule("selectors match the pods that they are for")
def selectors(overlay, _):
    pods, servers = overlay.pods(), overlay.servers()
    for pod in servers + overlay.event_servers():
        selector = pod.owner["spec"]["selector"]
        if not matches(selector, pod.labels):
            yield f"{pod.name} does not select its own pods"
        others = [other.name for other in pods + overlay.operator_pods()
                  if other.name != pod.name and matches(selector, other.labels)]
        if others:
            yield f"{pod.name} selects the pods of {', '.join(others)} too"
        for constraint in pod.spec.get("topologySpreadConstraints", []):
            if not matches(constraint.get("labelSelector", {}), pod.labels) or not constraint.get("labelSelector"):
                yield f"the spread of {pod.name} over {constraint['topologyKey']} does not count its own pods"
    for kind in ("Service", "PodDisruptionBudget"):
        for each in overlay.of_kind(kind):
            selector = each["spec"].get("selector", {})
            selector = {"matchLabels": selector} if kind == "Service" else selector
            # An empty selector selects nothing (a Service) or everything (a budget), and neither is meant.
            chosen = [pod for pod in pods if matches(selector, pod.labels)] if any(selector.values()) else []
            if len(chosen) != 1 or chosen[0].owner["kind"] not in ("Deployment", "StatefulSet"):
                names = [pod.name for pod in chosen]
                yield f"{title_of(each)} selects the pods of {names}, not those of one Deployment or StatefulSet"
            elif service_of(chosen[0]) != each["metadata"]["labels"].get("app.kubernetes.io/name"):
                yield f"{title_of(each)} selects the pods of {chosen[0].name}"
    for each in overlay.of_kind("PodMonitor"):
        chosen = [service_of(pod) for pod in servers if matches(each["spec"]["selector"], pod.labels)]
        if chosen != [each["metadata"]["name"]]:
            yield f"{title_of(each)} selects the pods of {chosen}"
        if [pod for pod in overlay.migrations() if matches(each["spec"]["selector"], pod.labels)]:
            yield f"{title_of(each)} selects pods of Jobs, which have no metrics"
    if overlay.of_kind("PodMonitor"):
        seen = {each["metadata"]["name"] for each in overlay.of_kind("PodMonitor")}
        unseen = {service_of(pod) for pod in servers} - seen
        if unseen:
            yield f"no PodMonitor is for {', '.join(sorted(unseen))}"
    for each in overlay.of_kind("NetworkPolicy"):
        if not [pod for pod in pods + overlay.operator_pods() if matches(each["spec"]["podSelector"], pod.labels)]:
            yield f"{title_of(each)} selects no pods"
    for each in overlay.of_kind("HorizontalPodAutoscaler"):
        target = each["spec"]["scaleTargetRef"]
        found = overlay.find(target["kind"], target["name"])
        if found is None or found["apiVersion"] != target["apiVersion"]:
            yield f"{title_of(each)} scales {target['kind']} {target['name']}, which is not there"


@rule("ports that are named exist")
def ports(overlay, _):
    pods = overlay.pods() + overlay.operator_pods()
    for service in overlay.of_kind("Service"):
        for pod in pods:
            if not matches({"matchLabels": service["spec"].get("selector", {})}, pod.labels):
                continue
            for port in service["spec"]["ports"]:
                target = port.get("targetPort", port["port"])
                if target not in pod.ports and target not in pod.ports.values():
                    yield f"{title_of(service)}: {pod.name} has no port {target}"
    for pod in overlay.servers():
        if sorted(pod.ports) != ["grpc", "internal", "metrics"]:
            yield f"{pod.name} has the ports {sorted(pod.ports)}, not grpc, internal and metrics"
        annotations = pod.owner["spec"]["template"]["metadata"].get("annotations", {})
        if annotations.get("prometheus.io/port") != str(pod.ports.get("metrics")):
            yield f"{pod.name}: prometheus.io/port is not the port of the metrics"
    for monitor in overlay.of_kind("PodMonitor"):
        for pod in overlay.servers():
            for endpoint in monitor["spec"]["podMetricsEndpoints"]:
                if matches(monitor["spec"]["selector"], pod.labels) and endpoint.get("port") != "metrics":
                    yield f"{title_of(monitor)}: the port {endpoint.get('port')} is not the one of the metrics"
    for policy in overlay.of_kind("NetworkPolicy"):
        for section, peers in (("ingress", None), ("egress", "to")):
            for entry in policy["spec"].get(section) or []:
                yield from policy_ports(overlay, pods, policy, entry, peers)


def policy_ports(overlay, pods, policy, entry, peers):
    """Those of our pods: of the selected ones for what comes in, of the others for what goes out."""
    for port in entry.get("ports", []):
        if peers is None:
            targets = [pod for pod in pods if matches(policy["spec"]["podSelector"], pod.labels)]
        else:
            targets = [pod for pod in pods for peer in entry.get(peers, [])
                       if "namespaceSelector" not in peer and "podSelector" in peer
                       and matches(peer["podSelector"], pod.labels)]
            ours = [peer for peer in entry.get(peers, []) if "namespaceSelector" not in peer and "podSelector" in peer]
            if ours and not targets:
                yield f"{title_of(policy)} lets pods reach others that are not there"
        for pod in targets:
            if port["port"] not in pod.ports and port["port"] not in pod.ports.values():
                yield f"{title_of(policy)}: {pod.name} has no port {port['port']}"


@rule("public services are headless, internal ones are not, nothing else is exposed")
def services(overlay, _):
    for pod in overlay.servers():
        kinds = {}
        for service in overlay.of_kind("Service"):
            if not matches({"matchLabels": service["spec"]["selector"]}, pod.labels):
                continue
            if service["spec"].get("type", "ClusterIP") != "ClusterIP" or service["spec"].get("externalIPs"):
                yield f"{title_of(service)} is reachable from outside of the cluster"
            if service["spec"].get("publishNotReadyAddresses"):
                yield f"{title_of(service)} names pods that are not ready"
            headless = service["spec"].get("clusterIP") == "None"
            for port in service["spec"]["ports"]:
                kinds.setdefault(port["targetPort"], []).append(headless)
        if kinds != {"grpc": [True], "internal": [False]}:
            yield f"{pod.name}: ports behind headless services (or not): {kinds}"


@rule("ConfigMaps, Secrets, keys, claims and accounts exist, or are documented; none is unused")
def references(overlay, world):
    used = set()

    def look(where, kind, name, key, optional=False):
        used.add((kind, name))
        found = overlay.find(kind, name)
        if found is not None:
            keys = set(found.get("data", {})) | set(found.get("stringData", {})) | set(found.get("binaryData", {}))
            if key is not None and key not in keys:
                yield f"{where}: {kind} {name} has no {key}"
        elif kind == "Secret" and name in overlay.certificate_secrets():
            if key is not None and key not in CERTIFICATE_KEYS:
                yield f"{where}: cert-manager puts no {key} into the Secret {name}"
        elif (kind, name, key) not in world.documented:
            yield f"{where}: there is no {kind} {name}" + (f" with {key}" if key else "")
        if optional:
            yield f"{where}: {kind} {name} is optional"

    for pod in overlay.pods():
        yield from look(pod.name, "ServiceAccount", pod.spec.get("serviceAccountName", "default"), None)
        for container in containers_of(pod.spec):
            for source in container.get("envFrom", []):
                for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                    if field in source:
                        yield from look(pod.name, kind, source[field]["name"], None, source[field].get("optional"))
            for entry in container.get("env", []):
                for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                    reference = entry.get("valueFrom", {}).get(field)
                    if reference:
                        yield from look(pod.name, kind, reference["name"], reference["key"], reference.get("optional"))
            claimed = [each["metadata"]["name"] for each in pod.owner["spec"].get("volumeClaimTemplates", [])]
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in claimed + [volume["name"] for volume in pod.spec.get("volumes", [])]:
                    yield f"{pod.name}: there is no volume {mount['name']}"
        for volume in pod.spec.get("volumes", []):
            if "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]["claimName"]
                yield from look(pod.name, "PersistentVolumeClaim", claim, None)
            for kind, name, part in sources_of(volume):
                if not part.get("items"):
                    yield f"{pod.name}: all of {kind} {name} is mounted, whatever it has"
                for item in part.get("items", []):
                    yield from look(pod.name, kind, name, item["key"], part.get("optional"))
    databases = [each["metadata"]["name"] for each in overlay.of_kind("MariaDB")]
    for each in overlay.of_kind("MariaDB", "User", "Grant", "Database"):
        for field in ("rootPasswordSecretKeyRef", "passwordSecretKeyRef"):
            if field in each["spec"]:
                yield from look(title_of(each), "Secret", each["spec"][field]["name"], each["spec"][field]["key"])
        if each["kind"] != "MariaDB" and each["spec"]["mariaDbRef"]["name"] not in databases:
            yield f"{title_of(each)}: there is no MariaDB {each['spec']['mariaDbRef']['name']}"
    for each in overlay.of_kind("PodMonitor"):
        for endpoint in each["spec"]["podMetricsEndpoints"]:
            ca = endpoint.get("tlsConfig", {}).get("ca", {}).get("secret")
            if ca:
                yield from look(title_of(each), "Secret", ca["name"], ca["key"])
    for each in overlay.of_kind("Gateway"):
        for listener in each["spec"]["listeners"]:
            for reference in listener.get("tls", {}).get("certificateRefs", []):
                yield from look(title_of(each), "Secret", reference["name"], "tls.crt")
    for each in overlay.of_kind("BackendTLSPolicy"):
        for reference in each["spec"]["validation"].get("caCertificateRefs", []):
            yield from look(title_of(each), reference["kind"], reference["name"], "ca.crt")
    for each in overlay.of_kind("ConfigMap", "Secret", "PersistentVolumeClaim", "ServiceAccount"):
        if (each["kind"], each["metadata"]["name"]) not in used:
            yield f"{title_of(each)} is not used"


# {the last keys of the path to a field: its values}. The API server refuses others, and the schemas do not tell.
WORDS = {
    "ports.protocol": {"TCP", "UDP", "SCTP"},
    "imagePullPolicy": {"Always", "IfNotPresent", "Never"},
    "restartPolicy": {"Always", "OnFailure", "Never"},
    "strategy.type": {"Recreate", "RollingUpdate"},
    "updateStrategy.type": {"OnDelete", "RollingUpdate"},
    "podManagementPolicy": {"OrderedReady", "Parallel"},
    "seccompProfile.type": {"RuntimeDefault", "Localhost"},
    "fsGroupChangePolicy": {"Always", "OnRootMismatch"},
    "whenUnsatisfiable": {"DoNotSchedule", "ScheduleAnyway"},
    "policyTypes": {"Ingress", "Egress"},
    "accessModes": {"ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany", "ReadOnlyMany"},
    "unhealthyPodEvictionPolicy": {"AlwaysAllow", "IfHealthyBudget"},
    "metrics.type": {"Resource", "ContainerResource", "Pods", "Object", "External"},
    "target.type": {"Utilization", "Value", "AverageValue"},
    "policies.type": {"Pods", "Percent"},
    "matchExpressions.operator": {"In", "NotIn", "Exists", "DoesNotExist"},
}
DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
PORT_NAME = re.compile(r"(?=[^a-z]*[a-z])(?!.*--)[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?")


@rule("words, names and quantities are such as the API server takes")
def words(overlay, _):
    variables = {source["configMapRef"]["name"] for _, container in all_containers(overlay)
                 for source in container.get("envFrom", []) if "configMapRef" in source}
    for each in overlay.objects:
        if "." in each["apiVersion"].split("/")[0].replace(".k8s.io", ""):
            continue  # an operator's, whose schema has all of this
        if not DNS_LABEL.fullmatch(each["metadata"]["name"]):
            yield f"{title_of(each)}: the name"
        for keys, value in leaves(each, ("",)):
            parent, wrong = keys[-2], False
            for end, allowed in WORDS.items():
                last = tuple(end.split("."))
                wrong = wrong or keys[-len(last):] == last and value not in allowed
            if parent in ("labels", "matchLabels") or (parent, each["kind"]) == ("selector", "Service"):
                wrong = not isinstance(value, str) or not LABEL_VALUE.fullmatch(value)
            if parent == "annotations":
                wrong = not isinstance(value, str)
            if parent in ("requests", "limits"):
                wrong = not QUANTITY.fullmatch(str(value))
            if wrong:
                yield f"{title_of(each)}: {'.'.join(keys[1:])} is {value}"
        if each["kind"] == "ConfigMap" and each["metadata"]["name"] not in variables:
            continue  # its keys are names of files
        for key, value in each.get("data", {}).items():
            if not VARIABLE.fullmatch(key) or not isinstance(value, str):
                yield f"{title_of(each)}: {key} is no variable"
    for pod, container in all_containers(overlay):
        if not DNS_LABEL.fullmatch(container.get("name", "")):
            yield f"{pod.name}: a container's name"
        for port in container.get("ports", []):
            if not PORT_NAME.fullmatch(port.get("name", "")) or not 1 <= port["containerPort"] <= 65535:
                yield f"{pod.name}: the port {port}"
        strategy = pod.owner["spec"].get("strategy", {})
        if strategy.get("type") == "Recreate" and "rollingUpdate" in strategy:
            yield f"{pod.name}: Recreate with the fields of another strategy"
    for each in overlay.of_kind("HorizontalPodAutoscaler"):
        if each["spec"].get("minReplicas", 1) > each["spec"]["maxReplicas"]:
            yield f"{title_of(each)}: minReplicas above maxReplicas"


def leaves(value, keys):
    """(the keys down to it, without indices; the value)"""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*keys, key))
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each, keys)
    else:
        yield keys, value
