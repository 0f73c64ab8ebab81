"""Rules. Who may call: TLS, certificates, the policy of access."""

import json
import re

from objects import mounted_files, service_of, sources_of, title_of
from rules import has_tls, PEERS, policy_of, rule, server_containers, variables_of

LISTENERS = ("LISTEN", "INTERNAL_LISTEN", "METRICS_LISTEN")
PUBLIC = ("TLS_CERT", "TLS_KEY", "POLICY")
INTERNAL = ("INTERNAL_TLS_CERT", "INTERNAL_TLS_KEY", "INTERNAL_TLS_CA", "PEER_IDENTITY")
JWT = ("JWT_KEYS", "JWT_ISSUER", "JWT_AUDIENCE")
ROLES = {"reader", "writer", "deleter", "operator"}
SERVICES_OF_GRPC = {"user.v1.UserService", "post.v1.PostService", "grpc.health.v1.Health",
                    "grpc.reflection.v1alpha.ServerReflection"}
IDENTITY = "spiffe://crosskey/{}"
DAY = 24
# Where what the rules look at comes from: no other policy, and no other file that could be taken for one of these.
CALLERS = {"POLICY": ("ConfigMap", "crosskey-policy", "policy.json"),
           "TOKENS": ("Secret", "crosskey-tokens", "tokens.json"),
           "JWT_KEYS": ("ConfigMap", "crosskey-jwt-keys", "jwks.json")}
# What a principal has to begin with, so that no pattern is for callers of any kind, issuer or trust domain; and what
# the service needs to know one of this kind.
KIND_OF_PRINCIPAL = re.compile(r"(token):|(jwt):[^*]+#|(spiffe)://[^*/]+/")
VOUCHERS = {"token": "TOKENS", "jwt": "JWT_KEYS", "spiffe": "TLS_CLIENT_CA"}


def is_loopback(address):
    return re.match(r"(127\.|localhost:|\[::1\]:)", address) is not None


def is_insecure(has):
    """What is none of these words is a yes to the binary, or a word that it refuses."""
    return has.get("INSECURE", "").lower() not in ("", "0", "false", "f", "no", "n", "off", "disable")


@rule("beyond loopback there are TLS and a policy, or --insecure in the open and only to try it")
def safe(overlay, world):
    for pod, container in server_containers(overlay):
        has = variables_of(overlay, world, pod, container)
        # A listener that is not set is the image's, which is beyond loopback.
        beyond = [name for name in LISTENERS if not is_loopback(has.get(name, "0.0.0.0:0"))]
        for entry in container.get("env", []):
            if entry["name"].endswith("_INSECURE") and "valueFrom" in entry:
                yield f"{pod.name}: {entry['name']} is not said in the open"
        if is_insecure(has):
            if overlay.is_production():
                yield f"{pod.name} is insecure"
            if set(PUBLIC + INTERNAL) & set(has):
                yield f"{pod.name} is insecure, and has {sorted(set(PUBLIC + INTERNAL) & set(has))}"
            continue
        wanted = {"LISTEN": PUBLIC, "INTERNAL_LISTEN": INTERNAL, "METRICS_LISTEN": PUBLIC[:2]}
        for name in beyond:
            missing = [each for each in wanted[name] if each not in has]
            if missing:
                yield f"{pod.name}: {name} is beyond loopback without {', '.join(missing)}"
        if 0 < len([each for each in JWT if each in has]) < len(JWT):
            yield f"{pod.name} has only some of {', '.join(JWT)}"


def certificate_at(overlay, pod, container, path, key):
    """The Certificate whose `key` is mounted there, or None."""
    kind, name, found = mounted_files(pod, container).get(path, ("", "", ""))
    return overlay.certificate_secrets().get(name) if (kind, found) == ("Secret", key) else None


@rule("certificates, keys and authorities are mounted where the variables say, each pair from one Certificate")
def mounted(overlay, world):
    for pod, container in server_containers(overlay):
        has, service = variables_of(overlay, world, pod, container), service_of(pod)
        for names, expected in ((("TLS_CERT", "TLS_KEY", "TLS_CLIENT_CA"), service),
                                (("INTERNAL_TLS_CERT", "INTERNAL_TLS_KEY", "INTERNAL_TLS_CA"), f"{service}-internal")):
            for name, key in zip(names, ("tls.crt", "tls.key", "ca.crt")):
                if name not in has:
                    continue
                found = certificate_at(overlay, pod, container, has[name], key)
                if found is None or found["metadata"]["name"] != expected:
                    yield f"{pod.name}: {name} is {has[name]}, where there is no {key} of the Certificate {expected}"
        for name, expected in CALLERS.items():
            if name in has and mounted_files(pod, container).get(has[name]) != expected:
                yield f"{pod.name}: {name} is {has[name]}, where there is no {expected[2]} of {' '.join(expected[:2])}"


def hours(text):
    """Of a duration as Go writes it."""
    parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    return sum(int(part or 0) / unit for part, unit in zip(parts.groups(), (1, 60, 3600))) if parts else None


def root_of(overlay, issuer):
    """Who vouches in the end for what an Issuer signs: the Secret of the authority above all others, or the Issuer.
    Nobody does, if authorities sign each other."""
    seen = []
    while True:
        secret = (overlay.find("Issuer", issuer) or {"spec": {}})["spec"].get("ca", {}).get("secretName")
        if secret is None:
            return seen[-1] if seen else issuer
        if secret in seen:
            return "nobody"
        seen.append(secret)
        certificate = overlay.certificate_secrets().get(secret, {"spec": {"issuerRef": {"name": ""}}})
        issuer = certificate["spec"]["issuerRef"]["name"]


@rule("certificates: names, authorities, times; one URI is all that an internal one says")
def certificates(overlay, world):
    issuers = {each["metadata"]["name"]: each for each in overlay.of_kind("Issuer")}
    in_pods = {name for pod in overlay.pods() for volume in pod.spec.get("volumes", [])
               for kind, name, _ in sources_of(volume) if kind == "Secret"}
    for each in overlay.of_kind("Certificate"):
        title, spec = title_of(each), each["spec"]
        if spec["issuerRef"]["name"] not in issuers or spec["issuerRef"].get("kind", "Issuer") != "Issuer":
            yield f"{title}: there is no Issuer {spec['issuerRef']['name']}"
        if spec.get("isCA"):
            if spec["secretName"] in in_pods:
                yield f"{title}: a pod has the key of an authority"
            continue
        if spec.get("privateKey", {}).get("rotationPolicy") != "Always":
            yield f"{title}: a renewed certificate has the old key"
        # CrosskeyCertificateExpires warns a week before the end.
        renewed, lives = hours(spec.get("renewBefore", "0h")), hours(spec.get("duration", "0h"))
        if renewed is None or lives is None or renewed < 14 * DAY or lives > 100 * DAY:
            yield f"{title} lives too long, or is renewed too late"
    for name, issuer in issuers.items():
        secret = issuer["spec"].get("ca", {}).get("secretName")
        authority = overlay.certificate_secrets().get(secret)
        if secret and not (authority and authority["spec"].get("isCA")):
            yield f"{title_of(issuer)}: there is no authority in {secret}"
    for pod, container in server_containers(overlay):
        if not has_tls(overlay, world, pod, container):
            continue
        service, has = service_of(pod), variables_of(overlay, world, pod, container)
        public, internal = (overlay.find("Certificate", name) for name in (service, f"{service}-internal"))
        if not public or not internal:
            yield f"{pod.name} has no Certificates {service} and {service}-internal"
            continue
        names = {service + end for end in ("", *(f".{overlay.namespace}{end}" for end in (
            "", ".svc", ".svc.cluster.local")))}
        if set(public["spec"].get("dnsNames", [])) != names or public["spec"].get("uris"):
            yield f"{title_of(public)} is not for {', '.join(sorted(names))}"
        if internal["spec"].get("uris") != [IDENTITY.format(service)] or \
                {"dnsNames", "commonName", "ipAddresses", "emailAddresses"} & set(internal["spec"]):
            yield f"{title_of(internal)} says more or less than the URI of {service}"
        if not {"server auth", "client auth"} <= set(internal["spec"].get("usages", [])):
            yield f"{title_of(internal)} is not for both ends of a connection"
        if root_of(overlay, public["spec"]["issuerRef"]["name"]) == \
                root_of(overlay, internal["spec"]["issuerRef"]["name"]):
            yield f"{service}: whoever signs for callers signs for the other service, too"
        if has.get("PEER_IDENTITY") != IDENTITY.format(PEERS[service]):
            yield f"{pod.name}: the other service is not {has.get('PEER_IDENTITY')}"


@rule("the policy names roles, methods and principals that there can be")
def policy(overlay, world):
    if not any(has_tls(overlay, world, pod, container) for pod, container in server_containers(overlay)):
        return
    told = {pod.name: variables_of(overlay, world, pod, container) for pod, container in server_containers(overlay)}
    issuers = {has.get("JWT_ISSUER") for has in told.values()}
    try:
        parsed = json.loads(policy_of(overlay))
        rules = parsed["allow_rules"]
    except (ValueError, KeyError) as error:
        yield f"the policy: {error!r}"
        return
    for each in rules:
        name, request = each.get("name"), each.get("request", {})
        principals = each.get("source", {}).get("principals", [])
        if not name or not principals or not request.get("roles") and not request.get("paths"):
            yield f"the rule {name} has no name, no principals or no request"
        if set(request.get("roles", [])) - ROLES:
            yield f"the rule {name} has the roles {request['roles']}"
        for path in request.get("paths", []):
            if path.strip("/").split("/")[0] not in SERVICES_OF_GRPC:
                yield f"the rule {name} allows {path}, which is not public"
    named = [(f"the rule {each.get('name')}", each.get("source", {})) for each in rules]
    for where, source in named + [("an owner", each) for each in parsed.get("owners", [])]:
        for principal in source.get("principals", []):
            issuer = re.match(r"jwt:(.*)#", principal)
            if issuer and issuer[1] not in issuers:
                yield f"{where} is for the issuer {issuer[1]}, whose tokens nobody takes"
            kind = KIND_OF_PRINCIPAL.match(principal)
            if kind is None:
                yield f"{where} is for {principal}, that is for callers of any kind"
                continue
            voucher = VOUCHERS[kind[kind.lastindex]]
            for pod in [pod for pod, has in told.items() if voucher not in has]:
                yield f"{where} is for {principal}, and {pod} has no {voucher}"
    if len({each.get("name") for each in rules}) != len(rules):
        yield "two rules have the same name"


@rule("who speaks to the services speaks TLS where they do: Prometheus, the gateway, names of protocols")
def spoken(overlay, world):
    for pod, container in server_containers(overlay):
        tls, service = has_tls(overlay, world, pod, container), service_of(pod)
        certificate = overlay.find("Certificate", service) or {"spec": {}}
        names = certificate["spec"].get("dnsNames", [])
        annotations = pod.owner["spec"]["template"]["metadata"].get("annotations", {})
        if annotations.get("prometheus.io/scheme", "http") != ("https" if tls else "http"):
            yield f"{pod.name}: prometheus.io/scheme is not what the metrics speak"
        monitor = overlay.find("PodMonitor", service)
        for endpoint in monitor["spec"]["podMetricsEndpoints"] if monitor else []:
            secure = endpoint.get("tlsConfig", {})
            if endpoint.get("scheme", "http") != ("https" if tls else "http"):
                yield f"{title_of(monitor)}: scheme is not what the metrics speak"
            if tls and (secure.get("serverName") not in names or secure.get("insecureSkipVerify") or
                        secure.get("ca", {}).get("secret", {}).get("name") != certificate["spec"]["secretName"]):
                yield f"{title_of(monitor)} does not look whether it is {service}"
        for each in overlay.of_kind("Service"):
            protocols = {port.get("appProtocol") for port in each["spec"]["ports"]}
            if each["metadata"]["labels"].get("app.kubernetes.io/name") == service and \
                    protocols != {None if tls else "kubernetes.io/h2c"}:
                yield f"{title_of(each)}: appProtocol is not what {service} speaks"
        if not overlay.of_kind("Gateway"):
            continue
        policies = [each for each in overlay.of_kind("BackendTLSPolicy")
                    if service in [target["name"] for target in each["spec"]["targetRefs"]]]
        if len(policies) != (1 if tls else 0):
            yield f"the gateway has {len(policies)} BackendTLSPolicies for {service}"
        for each in policies:
            validation = each["spec"]["validation"]
            if validation["hostname"] not in names or not validation.get("caCertificateRefs"):
                yield f"{title_of(each)} does not look whether it is {service}"
    for each in overlay.of_kind("Gateway"):
        for listener in each["spec"]["listeners"]:
            if listener["protocol"] != "HTTPS" or listener.get("tls", {}).get("mode") != "Terminate":
                yield f"{title_of(each)}: bearer tokens go to the listener {listener['name']} in the clear"
