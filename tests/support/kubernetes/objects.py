"""What the rules look at: the objects of a rendered overlay, and the pods that are made from them."""

import collections
import posixpath

import yaml

# Of the kinds that are used here, these are in no namespace.
CLUSTER_KINDS = {"Namespace"}

# Kubernetes gives each namespace this label, with the name of the namespace.
NAMESPACE_NAME = "kubernetes.io/metadata.name"

# labels and ports are those of the pod. spec is that of the template, or None for a pod that an operator makes.
Pod = collections.namedtuple("Pod", "name namespace labels spec ports owner")


class Overlay:
    def __init__(self, name, text):
        self.name = name
        self.text = text
        self.objects = [document for document in yaml.load_all(text, yaml.CSafeLoader) if document]

    def of_kind(self, *kinds):
        return [each for each in self.objects if each["kind"] in kinds]

    def find(self, kind, name):
        found = [each for each in self.of_kind(kind) if each["metadata"]["name"] == name]
        return found[0] if found else None

    @property
    def namespace(self):
        names = [each["metadata"]["name"] for each in self.of_kind("Namespace")]
        return names[0] if names else ""

    def workloads(self):
        return self.of_kind("Deployment", "Job", "StatefulSet", "DaemonSet", "CronJob", "ReplicaSet", "Pod")

    def pods(self):
        """One pod for each template."""
        pods = []
        for owner in self.workloads():
            template = template_of(owner)
            spec = template["spec"]
            ports = {}
            for container in containers_of(spec):
                for port in container.get("ports", []):
                    ports[port.get("name", str(port["containerPort"]))] = port["containerPort"]
            pods.append(Pod(title_of(owner), owner["metadata"].get("namespace", ""),
                            template.get("metadata", {}).get("labels", {}), spec, ports, owner))
        return pods

    def operator_pods(self):
        """The pods that the mariadb-operator makes, one for each MariaDB. Only their labels and ports are known."""
        pods = []
        for each in self.of_kind("MariaDB"):
            name = each["metadata"]["name"]
            labels = {"app.kubernetes.io/name": "mariadb", "app.kubernetes.io/instance": name}
            ports = {"mariadb": each["spec"].get("port", 3306)}
            if each["spec"].get("galera", {}).get("enabled"):
                ports.update(cluster=4567, ist=4568, sst=4444, agent=5555)
            pods.append(Pod(title_of(each), each["metadata"].get("namespace", ""), labels, None, ports, each))
        return pods

    def certificate_secrets(self):
        """{Secret: the Certificate that cert-manager puts there}"""
        return {each["spec"]["secretName"]: each for each in self.of_kind("Certificate")}

    def servers(self):
        return [pod for pod in self.pods() if pod.owner["kind"] == "Deployment"]

    def event_servers(self):
        """The cluster of NATS: one pod for all of its servers."""
        return [pod for pod in self.pods() if pod.owner["kind"] == "StatefulSet"]

    def migrations(self):
        return [pod for pod in self.pods() if pod.owner["kind"] == "Job"]

    def environment(self, pod, container):
        """The variables of a container, from its ConfigMaps and its own list. A reference counts as an empty value."""
        variables = {}
        for source in container.get("envFrom", []):
            reference = source.get("configMapRef")
            found = self.find("ConfigMap", reference["name"]) if reference else None
            data = (found or {}).get("data", {})
            variables.update((source.get("prefix", "") + key, value) for key, value in data.items())
        for entry in container.get("env", []):
            variables[entry["name"]] = entry.get("value", "")
        return variables

    def is_production(self):
        return self.name != "dev"


def title_of(thing):
    return f"{thing['kind']} {thing['metadata']['name']}"


def template_of(owner):
    if owner["kind"] == "Pod":
        return owner
    if owner["kind"] == "CronJob":
        return owner["spec"]["jobTemplate"]["spec"]["template"]
    return owner["spec"]["template"]


def containers_of(spec):
    return spec.get("initContainers", []) + spec.get("containers", [])


# What cert-manager puts into the Secret of a Certificate, if an authority signs it.
CERTIFICATE_KEYS = {"tls.crt", "tls.key", "ca.crt"}


def sources_of(volume):
    """[(ConfigMap or Secret, its name, its part of the volume)], also of a projected volume."""
    found = []
    for part in [volume, *volume.get("projected", {}).get("sources", [])]:
        if "secret" in part:
            found.append(("Secret", part["secret"].get("secretName") or part["secret"].get("name"), part["secret"]))
        if "configMap" in part:
            found.append(("ConfigMap", part["configMap"]["name"], part["configMap"]))
    return found


def mounted_files(pod, container):
    """{path in the container: (ConfigMap or Secret, its name, key)}"""
    volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
    return {
        posixpath.join(mount["mountPath"], item["path"]): (kind, name, item["key"])
        for mount in container.get("volumeMounts", [])
        for kind, name, part in sources_of(volumes.get(mount["name"], {}))
        for item in part.get("items", [])
    }


def matches(selector, labels):
    """Whether a label selector, as policies, Deployments and budgets have it, matches. An empty one matches all."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions") or []:
        key, values = expression["key"], expression.get("values", [])
        holds = {
            "In": lambda: labels.get(key) in values,
            "NotIn": lambda: labels.get(key) not in values,
            "Exists": lambda: key in labels,
            "DoesNotExist": lambda: key not in labels,
        }[expression["operator"]]()
        if not holds:
            return False
    return True


def service_of(pod):
    """user-service or post-service."""
    return pod.labels.get("app.kubernetes.io/name", "")


def quantity(text):
    """A quantity of CPU or memory as a number."""
    text = str(text)
    factors = {"m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "k": 1e3, "M": 1e6, "G": 1e9}
    for suffix, factor in sorted(factors.items(), key=lambda pair: -len(pair[0])):
        if text.endswith(suffix):
            return float(text[: -len(suffix)]) * factor
    return float(text)
