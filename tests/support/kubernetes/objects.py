"""What the rules look at: the objects of a rendered overlay, and the pods that come of them."""

import collections

import yaml

# The kinds that are in no namespace, of those that are used here.
CLUSTER_KINDS = {"Namespace"}

# As the namespaces of a cluster are labelled.
NAMESPACE_NAME = "kubernetes.io/metadata.name"

# labels and ports are those of the pod; spec is that of the template, None for a pod that an operator makes.
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
        """Of the templates, one each."""
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
        """Those that the mariadb-operator makes, as far as they are known: with its labels."""
        pods = []
        for each in self.of_kind("MariaDB"):
            name = each["metadata"]["name"]
            labels = {"app.kubernetes.io/name": "mariadb", "app.kubernetes.io/instance": name}
            pods.append(Pod(title_of(each), each["metadata"].get("namespace", ""), labels, None,
                            {"mariadb": each["spec"].get("port", 3306)}, each))
        return pods

    def servers(self):
        return [pod for pod in self.pods() if pod.owner["kind"] == "Deployment"]

    def migrations(self):
        return [pod for pod in self.pods() if pod.owner["kind"] == "Job"]

    def environment(self, pod, container):
        """The variables of a container, as its ConfigMaps and its own list give them. Of references only that they are."""
        variables = {}
        for source in container.get("envFrom", []):
            reference = source.get("configMapRef")
            found = self.find("ConfigMap", reference["name"]) if reference else None
            variables.update((source.get("prefix", "") + key, value) for key, value in (found or {}).get("data", {}).items())
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


def matches(selector, labels):
    """A label selector, as it is found in policies, Deployments, budgets. An empty one matches all."""
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
    """Of CPU or memory, as a number."""
    text = str(text)
    factors = {"m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "k": 1e3, "M": 1e6, "G": 1e9}
    for suffix, factor in sorted(factors.items(), key=lambda pair: -len(pair[0])):
        if text.endswith(suffix):
            return float(text[: -len(suffix)]) * factor
    return float(text)
