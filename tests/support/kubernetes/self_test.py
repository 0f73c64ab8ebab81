"""Shows that the rules notice what is wrong: each is given an overlay with one mistake, and has to report it."""

import copy
import json

import network
import rules
from objects import Overlay

DEV, PRODUCTION = "dev", "production"
OPERATOR, MONITORED = "production-mariadb-operator", "production, prometheus-operator"
GALERA, NATS = "production-galera", "production-galera-nats"
ROUTED = "production, gateway"


def deployment(overlay, name="user-service"):
    return overlay.find("Deployment", name)


def spec(overlay, name="user-service"):
    return deployment(overlay, name)["spec"]["template"]["spec"]


def container(overlay, name="user-service"):
    return spec(overlay, name)["containers"][0]


def job(overlay, name="user-service-migrate"):
    return overlay.find("Job", name)


def job_spec(overlay):
    return job(overlay)["spec"]["template"]["spec"]


def config(overlay, name="user-service"):
    """The data of a ConfigMap with a hash in its name."""
    found = [each for each in overlay.of_kind("ConfigMap") if each["metadata"]["name"].rpartition("-")[0] == name]
    return found[0]["data"]


def policy(overlay, name):
    return overlay.find("NetworkPolicy", name)["spec"]


def remove(overlay, kind, name):
    overlay.objects.remove(overlay.find(kind, name))


def service(overlay, name):
    return overlay.find("Service", name)["spec"]


def volume(pod_spec, name):
    return next(each for each in pod_spec["volumes"] if each["name"] == name)


def projected(overlay, source):
    """The part of the volume `access` that comes from this Secret or ConfigMap."""
    parts = [part for each in volume(spec(overlay), "access")["projected"]["sources"] for part in each.values()]
    return next(part for part in parts if part["name"] == source)


def certificate(overlay, name="user-service"):
    return overlay.find("Certificate", name)["spec"]


def change_policy(overlay, function):
    data = overlay.find("ConfigMap", "crosskey-policy")["data"]
    parsed = json.loads(data["policy.json"])
    function(parsed["allow_rules"])
    data["policy.json"] = json.dumps(parsed)


def put_in_policy(overlay, **fields):
    data = overlay.find("ConfigMap", "crosskey-policy")["data"]
    data["policy.json"] = json.dumps({**json.loads(data["policy.json"]), **fields})


def mount_another_policy(overlay):
    other = copy.deepcopy(overlay.find("ConfigMap", "crosskey-policy"))
    other["metadata"]["name"] = "other-policy"
    overlay.objects.append(other)
    projected(overlay, "crosskey-policy").update(name="other-policy")


def issuer(overlay, name):
    return overlay.find("Issuer", name)["spec"]


def endpoint(overlay):
    return overlay.find("PodMonitor", "user-service")["spec"]["podMetricsEndpoints"][0]


def galera(overlay):
    return overlay.find("MariaDB", "crosskey-mariadb")["spec"]["galera"]


def nats(overlay):
    return overlay.find("StatefulSet", "nats")["spec"]


def nats_pod(overlay):
    return nats(overlay)["template"]["spec"]


def nats_server(overlay):
    return nats_pod(overlay)["containers"][0]


def change_nats(overlay, old, new):
    """In the configuration of the servers."""
    data = config(overlay, "nats")
    data["nats.conf"] = data["nats.conf"].replace(old, new)


def nats_budget(overlay):
    return overlay.find("PodDisruptionBudget", "nats")["spec"]


def events_volume(overlay):
    """The Secrets of the volume that user-service has for NATS."""
    return [each["secret"] for each in volume(spec(overlay), "events")["projected"]["sources"]]


def secret(name, **fields):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {
        "name": name, "namespace": "crosskey", "labels": {"app.kubernetes.io/part-of": "crosskey"}}, **fields}


# {rule: [(overlay, what is wrong, how to make it so)]}. `o` is the overlay; its objects are changed in place.
MISTAKES = {
    "names: labels, one namespace, nothing twice": [
        (DEV, "another namespace", lambda o: deployment(o)["metadata"].update(namespace="default")),
        (DEV, "a label that is missing",
         lambda o: deployment(o)["metadata"]["labels"].pop("app.kubernetes.io/part-of")),
        (DEV, "an object that is there twice", lambda o: o.objects.append(deployment(o))),
        (DEV, "a Deployment that is missing", lambda o: remove(o, "Deployment", "post-service")),
    ],
    "selectors match the pods that they are for": [
        (DEV, "a Service of no pods", lambda o: service(o, "user-service")["selector"].update(x="y")),
        (DEV, "a Service of all pods", lambda o: service(o, "user-service").update(selector={})),
        (PRODUCTION, "a Service of a Job's pods too",
         lambda o: service(o, "user-service")["selector"].pop("app.kubernetes.io/component")),
        (PRODUCTION, "a Service of the other service",
         lambda o: service(o, "user-service")["selector"].update({"app.kubernetes.io/name": "post-service"})),
        (PRODUCTION, "a budget of no pods",
         lambda o: o.find("PodDisruptionBudget", "user-service")["spec"]["selector"]["matchLabels"].update(x="y")),
        (PRODUCTION, "an autoscaler of nothing",
         lambda o: o.find("HorizontalPodAutoscaler", "user-service")["spec"]["scaleTargetRef"].update(name="user")),
        (PRODUCTION, "a spread that counts no pods",
         lambda o: spec(o)["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"].update(x="y")),
        (PRODUCTION, "a policy of no pods", lambda o: policy(o, "crosskey-database").update(
            podSelector={"matchLabels": {"x": "y"}})),
        (MONITORED, "a monitor of no pods",
         lambda o: o.find("PodMonitor", "user-service")["spec"]["selector"]["matchLabels"].update(x="y")),
        (MONITORED, "a monitor that is missing", lambda o: remove(o, "PodMonitor", "post-service")),
        (MONITORED, "a monitor of Jobs",
         lambda o: o.find("PodMonitor", "user-service")["spec"]["selector"]["matchLabels"].pop(
             "app.kubernetes.io/component")),
        (DEV, "a Deployment that does not select its pods",
         lambda o: deployment(o)["spec"]["selector"]["matchLabels"].update(x="y")),
        (NATS, "a budget of both services and NATS", lambda o: nats_budget(o)["selector"].update(
            matchLabels={}, matchExpressions=[{"key": "app.kubernetes.io/name", "operator": "Exists"}])),
        (NATS, "a StatefulSet of the pods of services", lambda o: nats(o)["selector"].update(
            matchLabels={}, matchExpressions=[{"key": "app.kubernetes.io/name", "operator": "Exists"}])),
    ],
    "ports that are named exist": [
        (DEV, "a Service of a port that is not there",
         lambda o: service(o, "user-service")["ports"][0].update(targetPort="http")),
        (DEV, "a container without a port", lambda o: container(o)["ports"].pop()),
        (DEV, "an annotation with another port",
         lambda o: deployment(o)["spec"]["template"]["metadata"]["annotations"].update({"prometheus.io/port": "1"})),
        (DEV, "a policy with a port that is not there",
         lambda o: policy(o, "user-service")["ingress"][1]["ports"][0].update(port=50062)),
        (DEV, "a policy for the way out with a port that is not there",
         lambda o: policy(o, "user-service")["egress"][0]["ports"][0].update(port=50061)),
        (MONITORED, "a monitor of a port that is not there",
         lambda o: o.find("PodMonitor", "user-service")["spec"]["podMetricsEndpoints"][0].update(port="http")),
        (NATS, "a Service of NATS with a port that is not there",
         lambda o: service(o, "nats")["ports"][0].update(targetPort="grpc")),
        (NATS, "a policy of NATS with a port that is not there",
         lambda o: policy(o, "crosskey-events")["egress"][0]["ports"][0].update(port=4223)),
    ],
    "public services are headless, internal ones are not, nothing else is exposed": [
        (DEV, "a public Service that is not headless", lambda o: service(o, "user-service").pop("clusterIP")),
        (DEV, "a headless internal Service", lambda o: service(o, "user-service-internal").update(clusterIP="None")),
        (DEV, "a load balancer", lambda o: service(o, "user-service-internal").update(type="LoadBalancer")),
        (DEV, "the internal port among the public ones", lambda o: service(o, "user-service")["ports"].append(
            {"name": "internal", "port": 50061, "targetPort": "internal"})),
    ],
    "routes lead from a listener to the public port of a Service, and name what is public": [
        (ROUTED, "a route of a listener that is not there",
         lambda o: o.find("GRPCRoute", "user-service")["spec"]["parentRefs"][0].update(sectionName="users")),
        (ROUTED, "a route of all listeners",
         lambda o: o.find("GRPCRoute", "user-service")["spec"]["parentRefs"][0].pop("sectionName")),
        (ROUTED, "a route to the internal Service", lambda o: o.find("GRPCRoute", "user-service")["spec"]["rules"][0][
            "backendRefs"][0].update(name="user-service-internal", port=50061)),
        (ROUTED, "a route to the other service", lambda o: o.find("GRPCRoute", "user-service")["spec"]["rules"][0][
            "backendRefs"][0].update(name="post-service", port=50052)),
        (ROUTED, "a route of an internal service of gRPC", lambda o: o.find("GRPCRoute", "user-service")["spec"][
            "rules"][0]["matches"].append({"method": {"service": "event.v1.EventService"}})),
        (ROUTED, "a route of everything",
         lambda o: o.find("GRPCRoute", "user-service")["spec"]["rules"][0].pop("matches")),
        (ROUTED, "a listener without a route", lambda o: remove(o, "GRPCRoute", "post-service")),
    ],
    "ConfigMaps, Secrets, keys, claims and accounts exist, or are documented; none is unused": [
        (DEV, "a ConfigMap that is not there",
         lambda o: container(o)["envFrom"][0]["configMapRef"].update(name="user")),
        (DEV, "a claim that is not there", lambda o: remove(o, "PersistentVolumeClaim", "user-service-data")),
        (DEV, "an account that is not there", lambda o: remove(o, "ServiceAccount", "user-service")),
        (DEV, "a volume that is not there", lambda o: spec(o)["volumes"].clear()),
        (DEV, "a ConfigMap that is not used", lambda o: container(o)["envFrom"].clear()),
        (PRODUCTION, "a Secret that is not documented",
         lambda o: volume(spec(o), "database-password")["secret"].update(secretName="user-db")),
        (PRODUCTION, "a key that is not documented",
         lambda o: volume(spec(o), "database-password")["secret"]["items"][0].update(key="pw")),
        (PRODUCTION, "a Secret without the key that is used", lambda o: o.objects.append(
            secret("user-service-db", data={"pw": ""}))),
        (PRODUCTION, "a key that cert-manager does not make",
         lambda o: projected(o, "user-service-tls")["items"][0].update(key="cert.pem")),
        (PRODUCTION, "a Certificate that is missing", lambda o: remove(o, "Certificate", "user-service")),
        (PRODUCTION, "all of a Secret", lambda o: projected(o, "crosskey-tokens").pop("items")),
        (PRODUCTION, "a ConfigMap of keys that is not documented",
         lambda o: projected(o, "crosskey-jwt-keys").update(name="jwt-keys")),
        (ROUTED, "an authority that is nowhere", lambda o: o.find("BackendTLSPolicy", "user-service")["spec"][
            "validation"]["caCertificateRefs"][0].update(name="ca")),
        (ROUTED, "a certificate of the Gateway that is nowhere", lambda o: o.find("Gateway", "crosskey")["spec"][
            "listeners"][0]["tls"]["certificateRefs"][0].update(name="gateway")),
        (MONITORED, "a monitor with an authority that is nowhere", lambda o: o.find("PodMonitor", "user-service")[
            "spec"]["podMetricsEndpoints"][0]["tlsConfig"]["ca"]["secret"].update(name="ca")),
        (OPERATOR, "a User with a password that is nowhere",
         lambda o: o.find("User", "user-service")["spec"]["passwordSecretKeyRef"].update(name="user")),
        (OPERATOR, "a User of a server that is not there",
         lambda o: o.find("User", "user-service")["spec"]["mariaDbRef"].update(name="mariadb")),
        (NATS, "passwords of NATS that are nowhere", lambda o: volume(nats_pod(o), "config")["projected"]["sources"][1][
            "secret"].update(name="nats-users")),
        (NATS, "a claim of NATS that is not there", lambda o: nats(o).pop("volumeClaimTemplates")),
    ],
    "words, names and quantities are such as the API server takes": [
        (DEV, "another protocol", lambda o: container(o)["ports"][0].update(protocol="HTTP")),
        (DEV, "another strategy", lambda o: deployment(o)["spec"]["strategy"].update(type="Rolling")),
        (DEV, "the fields of another strategy", lambda o: deployment(o)["spec"]["strategy"].update(rollingUpdate={})),
        (DEV, "a direction that there is not", lambda o: policy(o, "crosskey-dns")["policyTypes"].append("egress")),
        (DEV, "a name with a capital", lambda o: deployment(o)["metadata"].update(name="userService")),
        (DEV, "a container without a name", lambda o: container(o).pop("name")),
        (DEV, "a port with a long name", lambda o: container(o)["ports"][1].update(name="internal-listener")),
        (DEV, "a label that is no text", lambda o: policy(o, "user-service")["ingress"][0]["from"][0]["podSelector"][
            "matchLabels"].update({"crosskey/client": True})),
        (DEV, "a label of a pod with a blank",
         lambda o: deployment(o)["spec"]["template"]["metadata"]["labels"].update({
             "app.kubernetes.io/version": "0 1"})),
        (DEV, "a selector with a blank", lambda o: service(o, "user-service")["selector"].update(x="a b")),
        (DEV, "an annotation that is no text",
         lambda o: deployment(o)["spec"]["template"]["metadata"]["annotations"].update({"prometheus.io/port": 9451})),
        (DEV, "a quantity that is none", lambda o: container(o)["resources"]["limits"].update(memory="512MB")),
        (DEV, "a claim of another kind",
         lambda o: o.find("PersistentVolumeClaim", "user-service-data")["spec"].update(accessModes=["ReadWrite"])),
        (PRODUCTION, "a key that is no variable", lambda o: config(o).update({"CROSSKEY USER": "x"})),
        (PRODUCTION, "fewer replicas at most than at least",
         lambda o: o.find("HorizontalPodAutoscaler", "user-service")["spec"].update(minReplicas=7)),
        (PRODUCTION, "an eviction policy that there is not",
         lambda o: o.find("PodDisruptionBudget", "user-service")["spec"].update(unhealthyPodEvictionPolicy="Allow")),
        (NATS, "a way to begin that there is not", lambda o: nats(o).update(podManagementPolicy="parallel")),
    ],
    "arguments and variables are those of the binary, with values that it takes": [
        (DEV, "a variable that is not known", lambda o: config(o).update(CROSSKEY_USER_LOGLEVEL="debug")),
        (DEV, "a variable of the other service", lambda o: config(o).update(CROSSKEY_POST_LOG_LEVEL="debug")),
        (DEV, "a value that is refused", lambda o: config(o).update(CROSSKEY_USER_LOG_LEVEL="verbose")),
        (DEV, "an address that is refused", lambda o: config(o).update(CROSSKEY_USER_PEER="post-service")),
        (DEV, "a flag that is not known", lambda o: container(o)["args"].append("--verbose")),
        (DEV, "a flag with a value that is refused", lambda o: container(o)["args"].append("--db-pool=0")),
        (PRODUCTION, "a policy that is refused", lambda o: put_in_policy(o, owners=[{"principals": ["token:x"]}])),
        (DEV, "another command", lambda o: container(o).update(args=["migrate"])),
        (PRODUCTION, "a Job that serves", lambda o: job_spec(o)["containers"][0].update(args=["serve"])),
        (DEV, "a shell", lambda o: container(o).update(command=["sh", "-c"])),
        (DEV, "another image", lambda o: container(o).update(image="busybox:1.36")),
    ],
    "the addresses that are configured are the ports and services that there are": [
        (DEV, "a peer that is no Service", lambda o: config(o).update(CROSSKEY_USER_PEER="post:50062")),
        (DEV, "the public port of the peer", lambda o: config(o).update(CROSSKEY_USER_PEER="post-service:50052")),
        (DEV, "itself as its peer", lambda o: config(o).update(CROSSKEY_USER_PEER="user-service-internal:50061")),
        (DEV, "another port of the peer", lambda o: config(o).update(CROSSKEY_USER_PEER="post-service-internal:50061")),
        (DEV, "a listener on loopback", lambda o: config(o).update(CROSSKEY_USER_LISTEN="127.0.0.1:50051")),
        (DEV, "a listener on another port", lambda o: config(o).update(CROSSKEY_USER_METRICS_LISTEN="0.0.0.0:9452")),
    ],
    "probes ask for what the services answer, at ports that there are": [
        (DEV, "a probe of a port that is not there",
         lambda o: container(o)["livenessProbe"]["grpc"].update(port=50052)),
        (DEV, "a probe of the metrics by gRPC", lambda o: container(o)["livenessProbe"]["grpc"].update(port=9451)),
        (DEV, "a probe of what is not known", lambda o: container(o)["readinessProbe"]["grpc"].update(service="ready")),
        (DEV, "a restart because of the database",
         lambda o: container(o)["livenessProbe"]["grpc"].update(service="readiness")),
        (DEV, "a probe that is missing", lambda o: container(o).pop("startupProbe")),
        (DEV, "a probe of another kind", lambda o: container(o).update(readinessProbe={"tcpSocket": {"port": 50051}})),
        (PRODUCTION, "a probe by gRPC without TLS", lambda o: container(o).update(
            readinessProbe={"grpc": {"port": 50051, "service": "readiness"}, "timeoutSeconds": 5})),
        (PRODUCTION, "a probe of another program",
         lambda o: container(o)["readinessProbe"]["exec"].update(command=["/usr/bin/post-service", "healthcheck"])),
        (PRODUCTION, "a probe of the internal port",
         lambda o: container(o)["livenessProbe"]["tcpSocket"].update(port="internal")),
        (PRODUCTION, "a restart because of the database", lambda o: container(o).update(
            livenessProbe=container(o)["readinessProbe"])),
        (PRODUCTION, "a probe without time", lambda o: container(o)["readinessProbe"].pop("timeoutSeconds")),
        (PRODUCTION, "a Job with a probe", lambda o: job_spec(o)["containers"][0].update(livenessProbe={})),
    ],
    "the drain fits the grace period": [
        (DEV, "a grace period that is too short", lambda o: spec(o).update(terminationGracePeriodSeconds=16)),
        (DEV, "a pause that is too long", lambda o: container(o)["lifecycle"]["preStop"]["sleep"].update(seconds=20)),
        (DEV, "no pause", lambda o: container(o).pop("lifecycle")),
        (DEV, "a command in an image without a shell",
         lambda o: container(o).update(lifecycle={"preStop": {"exec": {"command": ["sleep", "5"]}}})),
    ],
    "the holder of a lease is unique: every replica has a host name of its own": [
        (PRODUCTION, "one host name for all", lambda o: spec(o).update(hostname="user-service")),
        (PRODUCTION, "the host name of the node", lambda o: spec(o).update(hostNetwork=True)),
    ],
    "images have the version of the binaries": [
        (DEV, "latest", lambda o: container(o).update(image="crosskey/user-service:latest")),
        (DEV, "no tag", lambda o: container(o).update(image="crosskey/user-service")),
        (DEV, "another version", lambda o: container(o).update(image="crosskey/user-service:0.0.9")),
        (DEV, "the other service", lambda o: container(o).update(image="crosskey/post-service:0.1.0")),
        (OPERATOR, "a server without a tag",
         lambda o: o.find("MariaDB", "crosskey-mariadb")["spec"].update(image="mariadb")),
        (NATS, "NATS without a tag", lambda o: nats_server(o).update(image="nats")),
    ],
    "restricted: the Pod Security Standard, and a root file system that is only read": [
        (DEV, "root", lambda o: spec(o)["securityContext"].update(runAsNonRoot=False)),
        (DEV, "a user that is root", lambda o: spec(o)["securityContext"].update(runAsUser=0)),
        (DEV, "no seccomp profile", lambda o: spec(o)["securityContext"].pop("seccompProfile")),
        (DEV, "new privileges", lambda o: container(o)["securityContext"].pop("allowPrivilegeEscalation")),
        (DEV, "capabilities", lambda o: container(o)["securityContext"].pop("capabilities")),
        (DEV, "one capability", lambda o: container(o)["securityContext"]["capabilities"].update(add=["NET_ADMIN"])),
        (DEV, "a privileged container", lambda o: container(o)["securityContext"].update(privileged=True)),
        (DEV, "a root file system to write to",
         lambda o: container(o)["securityContext"].pop("readOnlyRootFilesystem")),
        (DEV, "a folder of the node", lambda o: spec(o)["volumes"].append({"name": "x", "hostPath": {"path": "/"}})),
        (DEV, "the network of the node", lambda o: spec(o).update(hostNetwork=True)),
        (DEV, "a port of the node", lambda o: container(o)["ports"][0].update(hostPort=50051)),
        (DEV, "a container that may be root", lambda o: container(o)["securityContext"].update(runAsUser=0)),
        (PRODUCTION, "a Job that runs as root", lambda o: job_spec(o).pop("securityContext")),
        (DEV, "another standard", lambda o: o.of_kind("Namespace")[0]["metadata"]["labels"].clear()),
        (OPERATOR, "a database server as root",
         lambda o: o.find("MariaDB", "crosskey-mariadb")["spec"]["podSecurityContext"].pop("runAsNonRoot")),
        (GALERA, "an agent that takes nothing over", lambda o: galera(o)["agent"].pop("securityContext")),
        (GALERA, "an init container that takes nothing over",
         lambda o: galera(o)["initContainer"].pop("securityContext")),
        (GALERA, "an agent with capabilities", lambda o: galera(o)["agent"]["securityContext"].pop("capabilities")),
        (GALERA, "an init container that is root",
         lambda o: galera(o)["initContainer"]["securityContext"].update(runAsUser=0)),
        (NATS, "NATS as root", lambda o: nats_pod(o)["securityContext"].pop("runAsNonRoot")),
    ],
    "no service account token, no service links, no rights": [
        (DEV, "a token", lambda o: spec(o).pop("automountServiceAccountToken")),
        (DEV, "a token of the account",
         lambda o: o.find("ServiceAccount", "user-service").pop("automountServiceAccountToken")),
        (DEV, "service links", lambda o: spec(o).pop("enableServiceLinks")),
        (PRODUCTION, "service links of a Job", lambda o: job_spec(o).update(enableServiceLinks=True)),
        (DEV, "the default account", lambda o: spec(o).pop("serviceAccountName")),
        (DEV, "rights", lambda o: o.objects.append({"apiVersion": "v1", "kind": "Role", "metadata": {"name": "x"}})),
    ],
    "resources are requested and limited": [
        (DEV, "no memory limit", lambda o: container(o)["resources"]["limits"].pop("memory")),
        (DEV, "no resources", lambda o: container(o).pop("resources")),
        (DEV, "a request above the limit", lambda o: container(o)["resources"]["requests"].update(memory="1Gi")),
        (PRODUCTION, "a Job without limits", lambda o: job_spec(o)["containers"][0]["resources"].pop("limits")),
        (DEV, "a temporary folder without a limit", lambda o: volume(spec(o), "tmp").update(emptyDir={})),
        (NATS, "NATS without limits", lambda o: nats_server(o)["resources"].pop("limits")),
    ],
    "no secret is in the manifests; passwords come as files": [
        (PRODUCTION, "a Secret", lambda o: o.objects.append(secret("user-service-db", stringData={"password": "x"}))),
        (PRODUCTION, "a password in a URL",
         lambda o: config(o).update(CROSSKEY_USER_DB="mysql://crosskey_user:x@mariadb.example:3306/crosskey_user")),
        (PRODUCTION, "a Secret in the environment", lambda o: container(o).update(env=[
            {"name": "X", "valueFrom": {"secretKeyRef": {"name": "user-service-db", "key": "password"}}}])),
        (PRODUCTION, "a password in the environment", lambda o: config(o).update(CROSSKEY_USER_DB_PASSWORD="x")),
        (PRODUCTION, "a file that is not mounted",
         lambda o: config(o).update(CROSSKEY_USER_DB_PASSWORD_FILE="/run/secrets/database/pw")),
        (PRODUCTION, "no password", lambda o: config(o).pop("CROSSKEY_USER_DB_PASSWORD_FILE")),
        (PRODUCTION, "a password for everybody",
         lambda o: volume(spec(o), "database-password")["secret"].update(defaultMode=0o444)),
        (PRODUCTION, "a password that the process cannot read", lambda o: spec(o)["securityContext"].pop("fsGroup")),
        (PRODUCTION, "a private key for everybody",
         lambda o: volume(spec(o), "access")["projected"].update(defaultMode=0o444)),
        (PRODUCTION, "one private key for everybody",
         lambda o: projected(o, "user-service-tls")["items"][1].update(mode=0o444)),
        (PRODUCTION, "one password for everybody",
         lambda o: volume(spec(o), "database-password")["secret"]["items"][0].update(mode=0o444)),
        (NATS, "keys of NATS for everybody",
         lambda o: volume(nats_pod(o), "config")["projected"].update(defaultMode=0o444)),
        (NATS, "a password of NATS that is not mounted",
         lambda o: config(o).update(CROSSKEY_USER_EVENTS_PASSWORD_FILE="/run/secrets/events/pw")),
    ],
    "network policies cover every pod, in both directions": [
        (DEV, "no default", lambda o: [remove(o, "NetworkPolicy", "crosskey-default-deny"),
                                      remove(o, "NetworkPolicy", "crosskey-dns"),
                                      remove(o, "NetworkPolicy", "user-service")]),
        (PRODUCTION, "pods of another name", lambda o: job(o)["spec"]["template"]["metadata"]["labels"].pop(
            "app.kubernetes.io/part-of")),
        (DEV, "a policy for another namespace",
         lambda o: [each["metadata"].update(namespace="default") for each in o.of_kind("NetworkPolicy")]),
        (OPERATOR, "a database server without one", lambda o: remove(o, "NetworkPolicy", "crosskey-mariadb")),
        (NATS, "NATS without one", lambda o: remove(o, "NetworkPolicy", "nats")),
    ],
    "only clients reach the public port, only the other service the internal one, only monitoring the metrics": [
        (DEV, "the internal port for all", lambda o: policy(o, "user-service")["ingress"][1].pop("from")),
        (DEV, "the internal port for clients",
         lambda o: policy(o, "user-service")["ingress"][0]["ports"].append({"protocol": "TCP", "port": 50061})),
        (DEV, "all ports for the peer", lambda o: policy(o, "user-service")["ingress"][1].pop("ports")),
        (DEV, "a peer of any namespace",
         lambda o: policy(o, "user-service")["ingress"][1]["from"][0].update(namespaceSelector={})),
        (PRODUCTION, "the Job as a peer", lambda o: policy(o, "user-service")["ingress"][1]["from"][0]["podSelector"][
            "matchLabels"].pop("app.kubernetes.io/component")),
        (DEV, "any pod of a namespace of clients",
         lambda o: policy(o, "user-service")["ingress"][0]["from"][1].pop("podSelector")),
        (DEV, "clients of any namespace",
         lambda o: policy(o, "user-service")["ingress"][0]["from"][1].update(namespaceSelector={})),
        (DEV, "addresses outside", lambda o: policy(o, "user-service")["ingress"].append(
            {"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]})),
        (DEV, "a range of ports", lambda o: policy(o, "user-service")["ingress"][0]["ports"][0].update(endPort=50070)),
        (DEV, "metrics for all", lambda o: policy(o, "user-service")["ingress"][2].pop("from")),
        (DEV, "another policy that lets all in", lambda o: policy(o, "crosskey-default-deny").update(ingress=[{}])),
        (DEV, "a service that does not reach its peer", lambda o: policy(o, "post-service").pop("egress")),
        (DEV, "a service that its peer does not reach", lambda o: policy(o, "user-service")["ingress"].pop(1)),
        (DEV, "no clients", lambda o: policy(o, "user-service")["ingress"].pop(0)),
        (NATS, "NATS for the Jobs", lambda o: policy(o, "nats")["ingress"][0]["from"][0]["podSelector"][
            "matchLabels"].pop("app.kubernetes.io/component")),
    ],
    "pods reach the other service, DNS and their database, and nothing else": [
        (DEV, "all ways out", lambda o: policy(o, "user-service")["egress"].append({})),
        (DEV, "no DNS", lambda o: remove(o, "NetworkPolicy", "crosskey-dns")),
        (DEV, "DNS by UDP only", lambda o: policy(o, "crosskey-dns")["egress"][0]["ports"].pop()),
        (DEV, "all of kube-system", lambda o: policy(o, "crosskey-dns")["egress"][0]["to"][0].pop("podSelector") and
         policy(o, "crosskey-dns")["egress"][0].pop("ports")),
        (PRODUCTION, "no way to the database", lambda o: remove(o, "NetworkPolicy", "crosskey-database")),
        (PRODUCTION, "another port of the database",
         lambda o: config(o).update(CROSSKEY_USER_DB="mysql://crosskey_user@mariadb.example:3307/crosskey_user")),
        (PRODUCTION, "the whole internet",
         lambda o: policy(o, "crosskey-database")["egress"][0]["to"][0]["ipBlock"].update(cidr="0.0.0.0/0")),
        (PRODUCTION, "all ports of the database", lambda o: policy(o, "crosskey-database")["egress"][0].pop("ports")),
        (OPERATOR, "no way to the server", lambda o: remove(o, "NetworkPolicy", "crosskey-database")),
        (OPERATOR, "a server for all", lambda o: policy(o, "crosskey-mariadb")["ingress"][0].pop("from")),
        (OPERATOR, "a server that its operator does not reach",
         lambda o: policy(o, "crosskey-mariadb")["ingress"][0]["from"].pop()),
        (OPERATOR, "a server that reaches others", lambda o: policy(o, "crosskey-mariadb").update(egress=[{}])),
        (GALERA, "servers that do not reach each other", lambda o: policy(o, "crosskey-mariadb")["egress"].pop(0)),
        (GALERA, "servers that let each other in for one thing only",
         lambda o: policy(o, "crosskey-mariadb")["ingress"][1]["ports"].pop()),
        (GALERA, "an agent for all", lambda o: policy(o, "crosskey-mariadb")["ingress"][2].pop("from")),
        (GALERA, "an agent that the operator does not reach",
         lambda o: policy(o, "crosskey-mariadb")["ingress"].pop()),
        (GALERA, "servers that reach everything outside",
         lambda o: policy(o, "crosskey-mariadb")["egress"][2].pop("ports")),
        (GALERA, "servers that do not reach an API server with IPv6",
         lambda o: policy(o, "crosskey-mariadb")["egress"][2]["to"].pop()),
        (GALERA, "servers without DNS", lambda o: policy(o, "crosskey-mariadb")["egress"].pop(1)),
        (NATS, "a database server that NATS reaches",
         lambda o: nats(o)["template"]["metadata"]["labels"].update({"app.kubernetes.io/part-of": "crosskey"})),
    ],
    "SQLite: one replica, Recreate, a volume": [
        (DEV, "two replicas", lambda o: deployment(o)["spec"].update(replicas=2)),
        (DEV, "a rolling update", lambda o: deployment(o)["spec"]["strategy"].update(type="RollingUpdate")),
        (DEV, "a file outside of the volume", lambda o: config(o).update(CROSSKEY_USER_DB="sqlite:/tmp/user.db")),
        (DEV, "a volume that is lost", lambda o: [volume(spec(o), "data").pop("persistentVolumeClaim"),
                                                 volume(spec(o), "data").update(emptyDir={})]),
        (DEV, "no database", lambda o: config(o).pop("CROSSKEY_USER_DB")),
        (DEV, "a volume for both", lambda o: volume(spec(o), "data")["persistentVolumeClaim"].update(
            claimName="post-service-data")),
        (DEV, "a volume that cannot be written to", lambda o: spec(o)["securityContext"].pop("fsGroup")),
    ],
    "replicas: a server for the database, one evicted at a time, spread, updated without a gap": [
        (PRODUCTION, "SQLite", lambda o: config(o).update(CROSSKEY_USER_DB="sqlite:/data/x.db")),
        (PRODUCTION, "one replica",
         lambda o: o.find("HorizontalPodAutoscaler", "user-service")["spec"].update(minReplicas=1)),
        (PRODUCTION, "no autoscaler, no replicas", lambda o: remove(o, "HorizontalPodAutoscaler", "user-service")),
        (PRODUCTION, "no budget", lambda o: remove(o, "PodDisruptionBudget", "user-service")),
        (PRODUCTION, "a budget of nothing",
         lambda o: o.find("PodDisruptionBudget", "user-service")["spec"].update(maxUnavailable=0)),
        (PRODUCTION, "a budget of everything",
         lambda o: o.find("PodDisruptionBudget", "user-service")["spec"].update(maxUnavailable="100%")),
        (PRODUCTION, "a number for autoscaled replicas", lambda o: deployment(o)["spec"].update(replicas=2)),
        (PRODUCTION, "no spread", lambda o: spec(o).pop("topologySpreadConstraints")),
        (PRODUCTION, "an update that takes pods away first",
         lambda o: deployment(o)["spec"]["strategy"]["rollingUpdate"].update(maxUnavailable=1)),
        (PRODUCTION, "no CPU request for the autoscaler", lambda o: container(o)["resources"]["requests"].pop("cpu")),
    ],
    "migrations: a Job for each database, with an account of its own, that ends and is cleaned up": [
        (PRODUCTION, "no Job", lambda o: remove(o, "Job", "user-service-migrate")),
        (PRODUCTION, "no end", lambda o: job(o)["spec"].pop("activeDeadlineSeconds")),
        (PRODUCTION, "no limit of tries", lambda o: job(o)["spec"].pop("backoffLimit")),
        (PRODUCTION, "no cleaning up", lambda o: job(o)["spec"].pop("ttlSecondsAfterFinished")),
        (PRODUCTION, "restarts for ever", lambda o: job_spec(o).update(restartPolicy="Always")),
        (PRODUCTION, "another image",
         lambda o: job_spec(o)["containers"][0].update(image="crosskey/user-service:0.0.9")),
        (PRODUCTION, "another database", lambda o: config(o, "user-service-migrate").update(
            CROSSKEY_USER_DB="mysql://crosskey_user_migrate@mariadb.example:3306/crosskey_post")),
        (PRODUCTION, "the account of the service", lambda o: config(o, "user-service-migrate").update(
            CROSSKEY_USER_DB="mysql://crosskey_user@mariadb.example:3306/crosskey_user")),
        (PRODUCTION, "the password of the service",
         lambda o: volume(job_spec(o), "database-password")["secret"].update(secretName="user-service-db")),
    ],
    "databases of the operator: accounts as in the URLs, with enough connections, that outlive their resources": [
        (OPERATOR, "too few connections of an account",
         lambda o: o.find("User", "user-service")["spec"].pop("maxUserConnections")),
        (OPERATOR, "too few connections of the server",
         lambda o: o.find("MariaDB", "crosskey-mariadb")["spec"].update(myCnf="[mariadb]\nmax_connections=151\n")),
        (OPERATOR, "more sessions", lambda o: config(o).update(CROSSKEY_USER_DB_POOL="64")),
        (OPERATOR, "more replicas",
         lambda o: o.find("HorizontalPodAutoscaler", "user-service")["spec"].update(maxReplicas=20)),
        (OPERATOR, "a database that is dropped",
         lambda o: o.find("Database", "user-service")["spec"].pop("cleanupPolicy")),
        (OPERATOR, "a character set that is too small",
         lambda o: o.find("Database", "user-service")["spec"].update(characterSet="utf8")),
        (OPERATOR, "an account that is not there", lambda o: remove(o, "User", "user-service")),
        (OPERATOR, "an account that may not write",
         lambda o: o.find("Grant", "user-service")["spec"].update(privileges=["SELECT"])),
        (OPERATOR, "an account that may do too much",
         lambda o: o.find("Grant", "user-service")["spec"]["privileges"].append("DROP")),
        (OPERATOR, "another password",
         lambda o: o.find("User", "user-service")["spec"]["passwordSecretKeyRef"].update(name="post-service-db")),
        (OPERATOR, "two servers, and nobody knows which one takes writes",
         lambda o: o.find("MariaDB", "crosskey-mariadb")["spec"].update(replicas=2)),
        (GALERA, "four servers", lambda o: o.find("MariaDB", "crosskey-mariadb")["spec"].update(replicas=4)),
        (GALERA, "a server that a service does not know", lambda o: config(o).update(
            CROSSKEY_USER_DB="mysql://crosskey_user@crosskey-mariadb-0.crosskey-mariadb-internal:3306,"
                             "crosskey-mariadb-1.crosskey-mariadb-internal:3306/crosskey_user")),
        (GALERA, "another operator's init container",
         lambda o: galera(o)["initContainer"].update(image="mariadb-operator:0.37.1")),
        (GALERA, "two servers evicted at once",
         lambda o: o.find("MariaDB", "crosskey-mariadb")["spec"]["podDisruptionBudget"].update(maxUnavailable=2)),
    ],
    "NATS: an odd number of servers that know each other, apart, evicted and replaced one at a time": [
        (NATS, "two servers", lambda o: nats(o).update(replicas=2)),
        (NATS, "five servers, of which they know three", lambda o: nats(o).update(replicas=5)),
        (NATS, "one server", lambda o: nats(o).update(replicas=1)),
        (NATS, "a route that is missing", lambda o: change_nats(o, '"nats-route://nats-2.nats:6222"', "")),
        (NATS, "a route to the port of clients", lambda o: change_nats(o, "nats-2.nats:6222", "nats-2.nats:4222")),
        (NATS, "routes without the Service", lambda o: nats(o).update(serviceName="events")),
        (NATS, "one address for all servers", lambda o: service(o, "nats").pop("clusterIP")),
        (NATS, "no names for servers that are not ready", lambda o: service(o, "nats").pop("publishNotReadyAddresses")),
        (NATS, "one after the other", lambda o: nats(o).pop("podManagementPolicy")),
        (NATS, "an update of two at once",
         lambda o: nats(o)["updateStrategy"].update(rollingUpdate={"maxUnavailable": 2})),
        (NATS, "no update", lambda o: nats(o)["updateStrategy"].update(type="OnDelete")),
        (NATS, "no budget", lambda o: remove(o, "PodDisruptionBudget", "nats")),
        (NATS, "two servers evicted at once", lambda o: nats_budget(o).update(maxUnavailable=2)),
        (NATS, "one evicted while another is not ready",
         lambda o: nats_budget(o).update(unhealthyPodEvictionPolicy="AlwaysAllow")),
        (NATS, "two servers on one node", lambda o: nats_pod(o).pop("affinity")),
        (NATS, "other pods kept apart", lambda o: nats_pod(o)["affinity"]["podAntiAffinity"][
            "requiredDuringSchedulingIgnoredDuringExecution"][0]["labelSelector"]["matchLabels"].update(x="y")),
        (NATS, "all in one zone", lambda o: nats_pod(o).pop("topologySpreadConstraints")),
        (NATS, "one name for all servers", lambda o: change_nats(o, "server_name: $POD_NAME", "server_name: nats")),
        (NATS, "a name that is not set", lambda o: nats_server(o)["env"].pop(0)),
        (NATS, "addresses for clients", lambda o: change_nats(o, "no_advertise: true", "")),
    ],
    "NATS: what is acknowledged is on a volume that stays and has room for it; an image that keeps it; probes": [
        (NATS, "no configuration", lambda o: nats_server(o).update(args=[])),
        (NATS, "half of a configuration", lambda o: change_nats(o, "cluster {", "cluster")),
        (NATS, "the disk two minutes later", lambda o: change_nats(o, "sync_interval: always", "sync_interval: 2m")),
        (NATS, "the disk at some time", lambda o: change_nats(o, "sync_interval: always", "")),
        (NATS, "a folder that is no volume", lambda o: change_nats(o, 'store_dir: "/data"', 'store_dir: "/tmp"')),
        (NATS, "a volume that is lost", lambda o: [nats(o).pop("volumeClaimTemplates"), nats_pod(o)["volumes"].append(
            {"name": "data", "emptyDir": {"sizeLimit": "20Gi"}})]),
        (NATS, "a volume that is too small", lambda o: nats(o)["volumeClaimTemplates"][0]["spec"]["resources"][
            "requests"].update(storage="16Gi")),
        (NATS, "as much as there is", lambda o: change_nats(o, "max_file_store: 16GB", "")),
        (NATS, "a volume that goes with the servers",
         lambda o: nats(o).update(persistentVolumeClaimRetentionPolicy={"whenDeleted": "Delete"})),
        (NATS, "a volume that cannot be written to", lambda o: nats_pod(o)["securityContext"].pop("fsGroup")),
        (NATS, "an old server", lambda o: nats_server(o).update(image="nats:2.11.9")),
        (NATS, "requests of any form", lambda o: change_nats(o, "strict: true", "strict: false")),
        (NATS, "another program", lambda o: nats_server(o).update(image="natsio/nats-box:2.15.1")),
        (NATS, "a restart because of the others",
         lambda o: nats_server(o)["livenessProbe"]["httpGet"].update(path="/healthz")),
        (NATS, "an update that goes on too early", lambda o: nats_server(o)["readinessProbe"]["httpGet"].update(
            path="/healthz?js-enabled-only=true")),
        (NATS, "a probe of clients' port", lambda o: nats_server(o)["readinessProbe"]["httpGet"].update(port="client")),
        (NATS, "a probe without time", lambda o: nats_server(o)["livenessProbe"].pop("timeoutSeconds")),
        (NATS, "no probe", lambda o: nats_server(o).pop("startupProbe")),
        (NATS, "a listener on loopback", lambda o: change_nats(o, '"0.0.0.0:4222"', '"127.0.0.1:4222"')),
    ],
    "NATS: TLS for clients and servers; a service may write its own stream, read the other one's, and nothing else": [
        (NATS, "no TLS for clients", lambda o: change_nats(o, "\ntls {", "\nignored {")),
        (NATS, "no TLS for servers", lambda o: change_nats(o, "  tls {", "  ignored {")),
        (NATS, "any server", lambda o: change_nats(o, "verify: true", "verify: false")),
        (NATS, "another authority of servers", lambda o: change_nats(o, "/etc/nats/ca.crt", "/etc/ssl/ca.crt")),
        (NATS, "the certificate as the key", lambda o: change_nats(o, "tls.key", "tls.crt")),
        (NATS, "no passwords", lambda o: change_nats(o, "include passwords.conf", "")),
        (NATS, "a password for all to see",
         lambda o: change_nats(o, "password: $USER_SERVICE_PASSWORD", "password: secret")),
        (NATS, "one password for both",
         lambda o: change_nats(o, "password: $USER_SERVICE_PASSWORD", "password: $POST_SERVICE_PASSWORD")),
        (NATS, "a user for everything", lambda o: change_nats(o, "users: [", "users: [{user: admin, password: $X}")),
        (NATS, "a user for those without one", lambda o: change_nats(
            o, "accounts {", "no_auth_user: user-service\naccounts {")),
        (NATS, "a user that is missing", lambda o: change_nats(o, "user: user-service", "user: users")),
        (NATS, "no JetStream", lambda o: change_nats(o, "jetstream: enabled", "")),
        (NATS, "everything", lambda o: change_nats(o, "permissions {", "rights {")),
        (NATS, "events of the other service", lambda o: change_nats(o, '"crosskey.user-service.>"', '"crosskey.>"')),
        (NATS, "deletion of a stream", lambda o: change_nats(
            o, '"crosskey.user-service.>"', '"crosskey.user-service.>" "$JS.API.STREAM.DELETE.crosskey_user-service"')),
        (NATS, "a stream that readers write", lambda o: change_nats(
            o, '"$JS.API.STREAM.INFO.crosskey_user-service"\n            "$JS.API.STREAM.MSG.GET.crosskey_user-service"'
            '\n            "$JS.API.CONSUMER.CREATE.crosskey_user-service"', '"crosskey.>"')),
        (NATS, "readers who see every answer",
         lambda o: change_nats(o, '["_INBOX.crosskey.events.>"]', '["_INBOX.>"]')),
        (NATS, "everything for readers", lambda o: change_nats(
            o, '{service: "$JS.API.CONSUMER.CREATE.crosskey_user-service", accounts: [READERS]}',
            '{service: "$JS.API.>", accounts: [READERS]}')),
        (NATS, "everything for everybody", lambda o: change_nats(o, ", accounts: [READERS]}", "}")),
        (NATS, "another account", lambda o: change_nats(o, "READERS {", "OTHERS {")),
        (NATS, "no limit of the copies", lambda o: change_nats(o, "max_file: 6GB, ", "")),
        (NATS, "no operator", lambda o: change_nats(o, "user: operator", "user: admin")),
        (NATS, "an operator who writes", lambda o: change_nats(o, '["$JS.API.>"]', '["$JS.API.>", "crosskey.>"]')),
        (NATS, "an operator who deletes nothing",
         lambda o: change_nats(o, '["$JS.API.>"]', '["$JS.API.STREAM.INFO.*"]')),
        (NATS, "an operator who sees every answer",
         lambda o: change_nats(o, '["_INBOX.crosskey.operator.>"]', '["_INBOX.>"]')),
        (NATS, "one password for all",
         lambda o: change_nats(o, "password: $OPERATOR_PASSWORD", "password: $USER_SERVICE_PASSWORD")),
        (NATS, "no event", lambda o: change_nats(o, '"crosskey.user-service.>"', "")),
        (NATS, "no reading", lambda o: change_nats(o, '"$JS.API.CONSUMER.CREATE.crosskey_user-service"', "")),
        (NATS, "no flow control", lambda o: change_nats(o, '"$JS.FC.crosskey_user-service.>"', "")),
        (NATS, "no answer", lambda o: change_nats(o, '["_INBOX.crosskey.user-service.>"]', "[]")),
        (NATS, "every message", lambda o: change_nats(o, '["_INBOX.crosskey.user-service.>"]', '["_INBOX.>"]')),
        (NATS, "a server without a name", lambda o: certificate(o, "nats")["dnsNames"].pop()),
        (NATS, "a name with a star", lambda o: certificate(o, "nats").update(dnsNames=["*.nats"])),
        (NATS, "a certificate for clients only",
         lambda o: certificate(o, "nats").update(usages=["digital signature", "client auth"])),
        (NATS, "the authority of callers",
         lambda o: certificate(o, "nats")["issuerRef"].update(name="crosskey-public")),
        (NATS, "no Certificate", lambda o: remove(o, "Certificate", "nats")),
    ],
    "events: both services name all servers, look who they are, and say their own user and password": [
        (NATS, "a service without NATS", lambda o: config(o).pop("CROSSKEY_USER_EVENTS")),
        (GALERA, "a NATS that is not there",
         lambda o: config(o).update(CROSSKEY_USER_EVENTS="nats://nats-0.nats:4222")),
        *((NATS, what, lambda o, old=old, new=new: config(o).update(
            CROSSKEY_USER_EVENTS=config(o)["CROSSKEY_USER_EVENTS"].replace(old, new))) for what, old, new in (
                ("no TLS", "tls://", "nats://"), ("no user", "user-service@", ""),
                ("the user of the other service", "user-service@", "post-service@"),
                ("a server that a service does not know", ",nats-2.nats:4222", ""),
                ("the port of the cluster", ":4222", ":6222"), ("another prefix", "/crosskey", "/other"))),
        (NATS, "any server", lambda o: config(o).pop("CROSSKEY_USER_EVENTS_CA")),
        (NATS, "servers of the public authority",
         lambda o: config(o).update(CROSSKEY_USER_EVENTS_CA="/run/access/public/ca.crt")),
        (NATS, "the key of the servers", lambda o: events_volume(o)[0]["items"].append(
            {"key": "tls.key", "path": "tls.key"})),
        (NATS, "the password of the other service", lambda o: events_volume(o)[1].update(
            name="post-service-nats")),
        (NATS, "the password of the database", lambda o: config(o).update(
            CROSSKEY_USER_EVENTS_PASSWORD_FILE="/run/secrets/database/password")),
        (NATS, "one copy", lambda o: config(o).pop("CROSSKEY_USER_EVENTS_REPLICAS")),
        (NATS, "two copies", lambda o: config(o).update(CROSSKEY_USER_EVENTS_REPLICAS="2")),
    ],
    "NATS: only the services reach it, only its servers reach each other, and it reaches nothing else": [
        (NATS, "NATS for all", lambda o: policy(o, "nats")["ingress"][0].pop("from")),
        (NATS, "all ports for the services", lambda o: policy(o, "nats")["ingress"][0].pop("ports")),
        (NATS, "the Jobs as well", lambda o: policy(o, "nats")["ingress"][0]["from"][0]["podSelector"][
            "matchLabels"].pop("app.kubernetes.io/component")),
        (NATS, "services that are not let out", lambda o: remove(o, "NetworkPolicy", "crosskey-events")),
        (NATS, "services that are not let in", lambda o: policy(o, "nats")["ingress"].pop(0)),
        (NATS, "servers of any namespace",
         lambda o: policy(o, "nats")["ingress"][1]["from"][0].update(namespaceSelector={})),
        (NATS, "servers that do not reach each other", lambda o: policy(o, "nats")["egress"].pop(0)),
        (NATS, "servers that do not let each other in", lambda o: policy(o, "nats")["ingress"].pop(1)),
        (NATS, "servers without DNS", lambda o: policy(o, "nats")["egress"].pop(1)),
        (NATS, "servers that reach everything", lambda o: policy(o, "nats")["egress"].append({})),
        (NATS, "the monitor for all", lambda o: policy(o, "nats")["ingress"].append(
            {"ports": [{"protocol": "TCP", "port": 8222}]})),
    ],
    "beyond loopback there are TLS and a policy, or --insecure in the open and only to try it": [
        (DEV, "neither TLS nor a word", lambda o: config(o).pop("CROSSKEY_USER_INSECURE")),
        (DEV, "a word that says no", lambda o: config(o).update(CROSSKEY_USER_INSECURE="0")),
        (DEV, "insecure, and a certificate", lambda o: config(o).update(CROSSKEY_USER_TLS_CERT="/run/tls.crt")),
        (DEV, "insecure by a reference", lambda o: container(o).update(env=[{
            "name": "CROSSKEY_USER_INSECURE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}])),
        (PRODUCTION, "insecure", lambda o: config(o).update(CROSSKEY_USER_INSECURE="true")),
        (PRODUCTION, "insecure by another word", lambda o: config(o).update(CROSSKEY_USER_INSECURE="Yes")),
        (PRODUCTION, "insecure by a flag", lambda o: container(o)["args"].append("--insecure")),
        (PRODUCTION, "no policy", lambda o: config(o).pop("CROSSKEY_USER_POLICY")),
        (PRODUCTION, "no certificate", lambda o: config(o).pop("CROSSKEY_USER_TLS_CERT")),
        (PRODUCTION, "no name of the other service", lambda o: config(o).pop("CROSSKEY_USER_PEER_IDENTITY")),
        (PRODUCTION, "no authority for the other service", lambda o: config(o).pop("CROSSKEY_USER_INTERNAL_TLS_CA")),
        (PRODUCTION, "tokens of any audience", lambda o: config(o).pop("CROSSKEY_USER_JWT_AUDIENCE")),
    ],
    "certificates, keys and authorities are mounted where the variables say, each pair from one Certificate": [
        (PRODUCTION, "a file that is not there", lambda o: config(o).update(CROSSKEY_USER_TLS_CERT="/run/tls.crt")),
        (PRODUCTION, "the key of the other certificate",
         lambda o: config(o).update(CROSSKEY_USER_TLS_KEY="/run/access/internal/tls.key")),
        (PRODUCTION, "the authority of callers for the other service",
         lambda o: config(o).update(CROSSKEY_USER_INTERNAL_TLS_CA="/run/access/public/ca.crt")),
        (PRODUCTION, "the certificate of the other service",
         lambda o: projected(o, "user-service-tls").update(name="post-service-tls")),
        (PRODUCTION, "a policy that is not there", lambda o: config(o).update(CROSSKEY_USER_POLICY="/run/policy.json")),
        (PRODUCTION, "tokens in a ConfigMap",
         lambda o: config(o).update(CROSSKEY_USER_TOKENS="/run/access/callers/jwks.json")),
        (PRODUCTION, "a key as the tokens",
         lambda o: config(o).update(CROSSKEY_USER_TOKENS="/run/access/public/tls.key")),
        (PRODUCTION, "keys as the policy",
         lambda o: config(o).update(CROSSKEY_USER_POLICY="/run/access/callers/jwks.json")),
        (PRODUCTION, "the policy as the keys",
         lambda o: config(o).update(CROSSKEY_USER_JWT_KEYS="/run/access/callers/policy.json")),
        (PRODUCTION, "another policy than the one that is looked at", mount_another_policy),
    ],
    "certificates: names, authorities, times; one URI is all that an internal one says": [
        (PRODUCTION, "an Issuer that is not there", lambda o: remove(o, "Issuer", "crosskey-internal")),
        (PRODUCTION, "an authority that is not there", lambda o: remove(o, "Certificate", "crosskey-public-ca")),
        (PRODUCTION, "an old key", lambda o: certificate(o)["privateKey"].update(rotationPolicy="Never")),
        (PRODUCTION, "a late renewal", lambda o: certificate(o).update(renewBefore="100h")),
        (PRODUCTION, "a long life", lambda o: certificate(o).update(duration="8760h")),
        (PRODUCTION, "a long life, as Go writes it", lambda o: certificate(o).update(duration="8760h0m0s")),
        (PRODUCTION, "a life of days", lambda o: certificate(o).update(duration="90d")),
        (PRODUCTION, "an authority for the public listener", lambda o: certificate(o).update(isCA=True)),
        (PRODUCTION, "an authority for the internal listener",
         lambda o: certificate(o, "user-service-internal").update(isCA=True)),
        (PRODUCTION, "a name that is missing", lambda o: certificate(o)["dnsNames"].pop()),
        (PRODUCTION, "the names of another namespace",
         lambda o: certificate(o).update(dnsNames=["user-service", "user-service.other.svc"])),
        (PRODUCTION, "a DNS name in an internal one",
         lambda o: certificate(o, "user-service-internal").update(dnsNames=["user-service-internal"])),
        (PRODUCTION, "two URIs in an internal one",
         lambda o: certificate(o, "user-service-internal")["uris"].append("spiffe://crosskey/post-service")),
        (PRODUCTION, "an internal one for servers only",
         lambda o: certificate(o, "user-service-internal").update(usages=["digital signature", "server auth"])),
        (PRODUCTION, "one authority for all",
         lambda o: certificate(o, "user-service-internal")["issuerRef"].update(name="crosskey-public")),
        (PRODUCTION, "one authority for all, under two names",
         lambda o: issuer(o, "crosskey-internal")["ca"].update(secretName="crosskey-public-ca")),
        (PRODUCTION, "one authority above both",
         lambda o: certificate(o, "crosskey-internal-ca")["issuerRef"].update(name="crosskey-public")),
        (PRODUCTION, "two authorities that sign each other", lambda o: [
            certificate(o, "crosskey-internal-ca")["issuerRef"].update(name="crosskey-public"),
            certificate(o, "crosskey-public-ca")["issuerRef"].update(name="crosskey-internal")]),
        (PRODUCTION, "itself as the other service",
         lambda o: config(o).update(CROSSKEY_USER_PEER_IDENTITY="spiffe://crosskey/user-service")),
        (NATS, "a long life of the certificate of NATS", lambda o: certificate(o, "nats").update(duration="87600h")),
    ],
    "the policy names roles, methods and principals that there can be": [
        (PRODUCTION, "a policy that is no JSON",
         lambda o: o.find("ConfigMap", "crosskey-policy")["data"].update({"policy.json": "{"})),
        (PRODUCTION, "a role that there is not",
         lambda o: change_policy(o, lambda rules: rules[0]["request"].update(roles=["admin"]))),
        (PRODUCTION, "a method of the internal listener", lambda o: change_policy(
            o, lambda rules: rules[2]["request"].update(paths=["/event.v1.EventService/Subscribe"]))),
        (PRODUCTION, "another issuer", lambda o: change_policy(
            o, lambda rules: rules[0]["source"].update(principals=["jwt:https://issuer.example#web"]))),
        (PRODUCTION, "anybody", lambda o: change_policy(o, lambda rules: rules[0]["source"].update(principals=["*"]))),
        *((PRODUCTION, f"anybody, as {each}", lambda o, each=each: change_policy(
            o, lambda rules: rules[3]["source"].update(principals=[each]))) for each in (
                "t*", "j*", "s*", "jwt:*", "spiffe://*", "*operator")),
        (PRODUCTION, "an owner who is anybody",
         lambda o: put_in_policy(o, owners=[{"principals": ["*"], "claim": "user_id"}])),
        (PRODUCTION, "tokens that the service does not know", lambda o: config(o).pop("CROSSKEY_USER_TOKENS")),
        (PRODUCTION, "certificates that the service does not look at",
         lambda o: config(o).pop("CROSSKEY_USER_TLS_CLIENT_CA")),
        (PRODUCTION, "JSON Web Tokens that the service does not know",
         lambda o: [config(o).pop(f"CROSSKEY_USER_JWT_{each}") for each in ("KEYS", "ISSUER", "AUDIENCE")]),
        (PRODUCTION, "a rule for nobody", lambda o: change_policy(o, lambda rules: rules[0].pop("source"))),
        (PRODUCTION, "a rule for everything", lambda o: change_policy(o, lambda rules: rules[0].pop("request"))),
        (PRODUCTION, "a rule that is there twice", lambda o: change_policy(o, lambda rules: rules.append(rules[0]))),
    ],
    "who speaks to the services speaks TLS where they do: Prometheus, the gateway, names of protocols": [
        (PRODUCTION, "an annotation without TLS", lambda o: deployment(o)["spec"]["template"]["metadata"][
            "annotations"].pop("prometheus.io/scheme")),
        (MONITORED, "metrics without TLS", lambda o: endpoint(o).pop("scheme")),
        (MONITORED, "metrics of anybody", lambda o: endpoint(o)["tlsConfig"].update(insecureSkipVerify=True)),
        (MONITORED, "metrics of another name", lambda o: endpoint(o)["tlsConfig"].update(serverName="10.0.0.1")),
        (MONITORED, "metrics of another authority",
         lambda o: endpoint(o)["tlsConfig"]["ca"]["secret"].update(name="user-service-internal-tls")),
        (PRODUCTION, "a Service without TLS",
         lambda o: service(o, "user-service")["ports"][0].update(appProtocol="kubernetes.io/h2c")),
        (ROUTED, "a gateway without TLS to a service", lambda o: remove(o, "BackendTLSPolicy", "user-service")),
        (ROUTED, "a gateway that takes the other service", lambda o: o.find("BackendTLSPolicy", "user-service")["spec"][
            "validation"].update(hostname="post-service.crosskey.svc")),
        (ROUTED, "a gateway without TLS for clients", lambda o: o.find("Gateway", "crosskey")["spec"]["listeners"][
            0].update(protocol="HTTP")),
    ],
}


def missed(overlays, world):
    """{rule: what it did not notice}, for all rules."""
    by_name = {overlay.name: overlay for overlay in overlays}
    found = {}
    for name, check in rules.RULES.items():
        wrong = [] if MISTAKES.get(name) else ["anything: there is no mistake to try it with"]
        for overlay_name, what, make in MISTAKES.get(name, []):
            overlay = by_name[overlay_name]
            broken = Overlay(overlay.name, "")
            broken.objects = copy.deepcopy(overlay.objects)
            make(broken)
            if broken.objects == overlay.objects:
                wrong.append(f"{what}: nothing was changed")
            elif not list(check(broken, world)):
                wrong.append(f"{what} ({overlay_name})")
        found[name] = "\n".join(wrong)
    found.update({f"{name}, which is no rule": "no rule" for name in MISTAKES if name not in rules.RULES})
    return found


# --------------------------------------------------------------------------- the evaluation of network policies itself


def policy_of(**spec_of):
    return {"kind": "NetworkPolicy", "metadata": {"name": "p", "namespace": "n"}, "spec": spec_of}


A = network.pod_end("a", "n", {"app": "a"}, ports={"http": 80})
B = network.pod_end("b", "n", {"app": "b"})
ELSEWHERE = network.pod_end("b elsewhere", "m", {"app": "b"}, {"team": "x"})
OUTSIDE = network.outside("192.0.2.7")
APP_A, APP_B, TEAM_X = ({"matchLabels": {"app": "a"}}, {"matchLabels": {"app": "b"}}, {"matchLabels": {"team": "x"}})
INTO_A = {"podSelector": APP_A, "policyTypes": ["Ingress"]}

# (policies, source, target, port, protocol, whether it may connect), as the documentation of Kubernetes says.
CONNECTIONS = [
    ([], B, A, 80, "TCP", True),
    ([policy_of(podSelector={}, policyTypes=["Ingress"])], B, A, 80, "TCP", False),
    ([policy_of(podSelector={})], B, A, 80, "TCP", False),
    ([policy_of(podSelector={}, policyTypes=["Ingress"])], A, OUTSIDE, 80, "TCP", True),
    ([policy_of(podSelector={}, policyTypes=["Egress"])], A, OUTSIDE, 80, "TCP", False),
    ([policy_of(podSelector={}, egress=[])], A, OUTSIDE, 80, "TCP", True),
    ([policy_of(podSelector=APP_B)], B, A, 80, "TCP", True),
    ([policy_of(**INTO_A, ingress=[{}])], OUTSIDE, A, 80, "TCP", True),
    ([policy_of(**INTO_A, ingress=[{"from": [{"podSelector": APP_B}]}])], B, A, 80, "TCP", True),
    ([policy_of(**INTO_A, ingress=[{"from": [{"podSelector": APP_B}]}])], ELSEWHERE, A, 80, "TCP", False),
    ([policy_of(**INTO_A, ingress=[{"from": [{"podSelector": {}}]}])], ELSEWHERE, A, 80, "TCP", False),
    ([policy_of(**INTO_A, ingress=[{"from": [{"namespaceSelector": {}}]}])], ELSEWHERE, A, 80, "TCP", True),
    ([policy_of(**INTO_A, ingress=[{"from": [{"namespaceSelector": {}}]}])], OUTSIDE, A, 80, "TCP", False),
    ([policy_of(**INTO_A, ingress=[{"from": [{"namespaceSelector": TEAM_X, "podSelector": APP_A}]}])],
     ELSEWHERE, A, 80, "TCP", False),
    ([policy_of(**INTO_A, ingress=[{"from": [{"namespaceSelector": TEAM_X}, {"podSelector": APP_A}]}])],
     ELSEWHERE, A, 80, "TCP", True),
    ([policy_of(**INTO_A, ingress=[{"ports": [{"port": 81}]}])], B, A, 80, "TCP", False),
    ([policy_of(**INTO_A, ingress=[{"ports": [{"port": 79, "endPort": 81}]}])], B, A, 80, "TCP", True),
    ([policy_of(**INTO_A, ingress=[{"ports": [{"port": "http"}]}])], B, A, 80, "TCP", True),
    ([policy_of(**INTO_A, ingress=[{"ports": [{"port": "http"}]}])], B, A, 81, "TCP", False),
    ([policy_of(**INTO_A, ingress=[{"ports": [{"port": 80, "protocol": "UDP"}]}])], B, A, 80, "TCP", False),
    ([policy_of(**INTO_A, ingress=[{"ports": [{"protocol": "TCP"}]}])], B, A, 80, "TCP", True),
    ([policy_of(**INTO_A), policy_of(**INTO_A, ingress=[{}])], B, A, 80, "TCP", True),
    ([policy_of(podSelector=APP_A, policyTypes=["Egress"], egress=[{"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}])],
     A, OUTSIDE, 80, "TCP", True),
    ([policy_of(podSelector=APP_A, policyTypes=["Egress"],
                egress=[{"to": [{"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.0/28"]}}]}])],
     A, OUTSIDE, 80, "TCP", False),
    ([policy_of(podSelector={"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["b"]}]})],
     B, A, 80, "TCP", False),
    ([policy_of(podSelector={"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]})],
     B, A, 80, "TCP", True),
]


def connections():
    wrong = [f"connection {number}: {source.name} to {target.name}, should be {may}"
             for number, (policies, source, target, port, protocol, may) in enumerate(CONNECTIONS)
             if network.allowed(policies, source, target, port, protocol) != may]
    return "\n".join(wrong)
