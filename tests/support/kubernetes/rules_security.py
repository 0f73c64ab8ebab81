"""Rules. What pods may not, and where secrets are."""

import re

from objects import containers_of, mounted_files, quantity, sources_of, title_of
from rules import all_containers, is_galera, is_mysql, rule


@rule("restricted: the Pod Security Standard, and a root file system that is only read")
def restricted(overlay, _):
    for each in overlay.of_kind("Namespace"):
        if each["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"{title_of(each)} does not enforce the restricted standard"
    for pod in overlay.pods():
        context = pod.spec.get("securityContext", {})
        for field in ("hostNetwork", "hostPID", "hostIPC", "hostUsers", "shareProcessNamespace"):
            if pod.spec.get(field):
                yield f"{pod.name} sets {field}"
        yield from pod_context(pod.name, context)
        for volume in pod.spec.get("volumes", []):
            kinds = set(volume) - {"name"}
            if not kinds <= {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
                             "projected", "secret"}:
                yield f"{pod.name}: a volume of the kind {sorted(kinds)}"
        if pod.spec.get("ephemeralContainers"):
            yield f"{pod.name} has ephemeral containers"
        for container in containers_of(pod.spec):
            own = container.get("securityContext", {})
            yield from container_context(pod.name, own)
            if own.get("readOnlyRootFilesystem") is not True:
                yield f"{pod.name} can write to its root file system"
            if own.get("runAsNonRoot") is False or own.get("runAsUser") == 0 or "seccompProfile" in own:
                yield f"{pod.name}: a container overrides what its pod says"
            for port in container.get("ports", []):
                if port.get("hostPort"):
                    yield f"{pod.name} takes a port of the node"
    for each in overlay.of_kind("MariaDB"):
        yield from pod_context(title_of(each), each["spec"].get("podSecurityContext", {}))
        yield from container_context(title_of(each), each["spec"].get("securityContext", {}))
        # The operator gives them nothing of what is said for the server's container.
        for name in ("agent", "initContainer") if is_galera(each) else ():
            own = each["spec"]["galera"].get(name, {})
            yield from container_context(f"{title_of(each)}: {name}", own.get("securityContext", {}))
            if own.get("securityContext", {}).get("runAsNonRoot") is False or \
                    own.get("securityContext", {}).get("runAsUser") == 0:
                yield f"{title_of(each)}: {name} overrides what its pod says"


def pod_context(where, context):
    if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
        yield f"{where} may run as root"
    if context.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield f"{where} has no seccomp profile"
    if context.get("sysctls"):
        yield f"{where} sets kernel parameters"


def container_context(where, context):
    if context.get("allowPrivilegeEscalation") is not False:
        yield f"{where} may gain privileges"
    capabilities = context.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"{where} keeps capabilities"
    if context.get("privileged") or context.get("procMount", "Default") != "Default":
        yield f"{where} is privileged"


@rule("no service account token, no service links, no rights")
def accounts(overlay, _):
    for pod in overlay.pods():
        if pod.spec.get("automountServiceAccountToken") is not False:
            yield f"{pod.name} gets a token"
        if pod.spec.get("enableServiceLinks") is not False:
            yield f"{pod.name} gets a variable for every service of the namespace"
        if pod.spec.get("serviceAccountName", "default") == "default":
            yield f"{pod.name} has no account of its own"
        for volume in pod.spec.get("volumes", []):
            if [source for source in volume.get("projected", {}).get("sources", []) if "serviceAccountToken" in source]:
                yield f"{pod.name} mounts a token"
    for each in overlay.of_kind("ServiceAccount"):
        if each.get("automountServiceAccountToken") is not False:
            yield f"{title_of(each)} gives tokens away"
    for each in overlay.of_kind("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"):
        yield f"{title_of(each)} gives rights that no service needs"


@rule("resources are requested and limited")
def resources(overlay, _):
    wanted = [(pod.name, container.get("resources", {})) for pod, container in all_containers(overlay)]
    wanted += [(title_of(each), each["spec"].get("resources", {})) for each in overlay.of_kind("MariaDB")]
    for where, has in wanted:
        for kind in ("cpu", "memory"):
            request, limit = has.get("requests", {}).get(kind), has.get("limits", {}).get(kind)
            if request is None or limit is None:
                yield f"{where}: {kind} is not both requested and limited"
            elif quantity(request) > quantity(limit):
                yield f"{where} requests more {kind} than its limit"
    for pod in overlay.pods():
        for volume in pod.spec.get("volumes", []):
            if "emptyDir" in volume and not (volume["emptyDir"] or {}).get("sizeLimit"):
                yield f"{pod.name}: the volume {volume['name']} has no limit"


@rule("no secret is in the manifests; passwords come as files")
def secrets(overlay, _):
    for each in overlay.of_kind("Secret"):
        if each.get("data") or each.get("stringData") or overlay.is_production():
            yield f"{title_of(each)} is part of the manifests"
    for each in overlay.objects:
        for text in strings_of(each):
            # Not a description of the form, as in a comment.
            if re.search(r"://[^/\s@]+:[^/\s@]+@", text) or "PRIVATE KEY" in text:
                yield f"{title_of(each)} contains a password or key"
    for pod, container in all_containers(overlay):
        variables = overlay.environment(pod, container)
        for entry in container.get("env", []):
            if "secretKeyRef" in entry.get("valueFrom", {}):
                yield f"{pod.name}: {entry['name']} has a secret in the environment"
        if any("secretRef" in source for source in container.get("envFrom", [])):
            yield f"{pod.name} has a secret in the environment"
        for name, value in variables.items():
            if re.search("PASSWORD|SECRET|TOKEN", name) and not name.endswith(("_FILE", "_TOKENS")):
                yield f"{pod.name}: {name} has a secret in the environment"
            if name.endswith("_PASSWORD_FILE") and mounted_files(pod, container).get(value, " ")[0] != "Secret":
                yield f"{pod.name}: no Secret is mounted as {value}"
        if is_mysql(overlay, pod) and not any(name.endswith("_PASSWORD_FILE") for name in variables):
            yield f"{pod.name} has a database without a password"
    for pod in overlay.pods():
        for volume in pod.spec.get("volumes", []):
            # The group's, which the process is in, and nobody else's. A file can have a mode of its own.
            parts = [(name, part) for kind, name, part in sources_of(volume) if kind == "Secret"]
            names = [name for name, _ in parts]
            modes = {(volume.get("projected") or volume.get("secret") or {}).get("defaultMode")} | {
                item["mode"] for _, part in parts for item in part.get("items", []) if "mode" in item}
            if names and (modes != {0o440} or pod.spec.get("securityContext", {}).get("fsGroup") is None):
                yield f"{pod.name}: {', '.join(names)}: readable for others, or not for the process"


def strings_of(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from strings_of(each)
