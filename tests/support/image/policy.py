"""The rules for deploy/Dockerfile, deploy/compose.yaml, and the files that can be added to it.

A rule is a function that returns the list of what is wrong; `broken` calls it.
"""

import os
import re
import sys

import dockerfile

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "kubernetes"))
import nats_config  # noqa: E402

SERVICES = {"user-service": "CROSSKEY_USER_", "post-service": "CROSSKEY_POST_"}
PEERS = {"user-service": "post-service", "post-service": "user-service"}
# What compose/certificates makes. It is not there before it has run, and git ignores it.
MADE = "deploy/compose/access/"
# A service takes at most this many seconds to stop.
STOP = 11.5
# What can be named after compose.yaml, as Compose merges it.
ADDITIONS = ("deploy/compose/galera.yaml", "deploy/compose/nats.yaml")
# In these the later list is the whole one.
REPLACED = ("command", "entrypoint", "test")


def merged(first, second, key=""):
    if key == "networks" and isinstance(first, list) and isinstance(second, dict):
        first = dict.fromkeys(first, {})
    if isinstance(first, dict) and isinstance(second, dict):
        return {**first, **{name: merged(first[name], value, name) if name in first else value
                            for name, value in second.items()}}
    if isinstance(first, list) and isinstance(second, list) and key not in REPLACED:
        return first + [each for each in second if each not in first]
    return second


class Files:
    """The texts that the rules are about. `changes`: {path: text} that is taken instead of what the file has.
    `additions`: what is named after compose.yaml."""

    def __init__(self, root, helps, load_yaml, changes=None, additions=()):
        self.root = root
        self.helps = helps  # {service: output of --help}
        self.changes = changes or {}
        self.load_yaml = load_yaml
        self.stages = dockerfile.stages(self.text("deploy/Dockerfile"))
        self.compose = load_yaml(self.text("deploy/compose.yaml"))
        for path in additions:
            self.compose = merged(self.compose, load_yaml(self.text(path)))
        self.services = self.compose["services"]

    def text(self, path):
        if path in self.changes:
            return self.changes[path]
        with open(os.path.join(self.root, path), encoding="utf-8") as file:
            return file.read()

    def version(self):
        return re.search(r"^project\(crosskey VERSION (\S+)", self.text("CMakeLists.txt"), re.M)[1]

    def ours(self):
        """(name in compose, its settings, which of our services it is)"""
        return [(name, settings, settings["build"]["target"]) for name, settings in self.services.items()
                if settings.get("build", {}).get("target") in SERVICES]

    def serving(self):
        return [(name, settings) for name, settings, service in self.ours() if name == service]

    def databases(self):
        return {name: settings for name, settings in self.services.items() if settings["image"].startswith("mariadb:")}

    def event_servers(self):
        return {name: settings for name, settings in self.services.items() if settings["image"].startswith("nats:")}

    def environment(self, settings, service):
        """The variables that a container of ours gets: those of the image, and those of compose."""
        return {**self.stages[service].pairs("ENV"), **settings.get("environment", {})}


def seconds(text):
    return float(re.fullmatch(r"([\d.]+)s", str(text))[1])


def images(files):
    problems = []
    pinned = r"[a-z0-9./_-]+:v?\d+\.\d+[a-z0-9.-]*"
    named = [stage.image for stage in files.stages.values() if stage.image != "scratch"]
    named += [settings["image"] for settings in files.services.values()]
    problems += [f"{image} is not pinned to a version" for image in named if not re.fullmatch(pinned, image)]
    version = files.version()
    for name, settings, service in files.ours():
        if settings["image"] != f"crosskey/{service}:{version}":
            problems.append(f"{name} is {settings['image']}, but this is {service} {version}")
        if service not in files.stages:
            problems.append(f"{name}: the Dockerfile has no {service}")
    for service in SERVICES:
        if files.stages[service].pairs("LABEL").get("org.opencontainers.image.version") != version:
            problems.append(f"the label of {service} has another version than {version}")
        if f"crosskey/{service}:{version} ." not in files.text("deploy/Dockerfile"):
            problems.append(f"the comment of the Dockerfile names another version of {service} than {version}")
    return problems


def settings_exist(files):
    """Variables, flags and commands are those of --help."""
    problems = []

    def check(where, service, variables, words):
        text = files.helps[service]
        known = set(re.findall(r"environment (CROSSKEY_\w+)", text))
        problems.extend(f"{where}: {service} knows no {name}" for name in variables if name not in known)
        flags = set(re.findall(r"--[a-z-]+", text))
        commands = set(re.findall(r"^ +(?:command +)?([\w-]+)(?: \(default\))?: ", text, re.M))
        for word in words:
            if word.startswith("-") and word.split("=")[0] not in flags:
                problems.append(f"{where}: {service} knows no {word}")
            if re.fullmatch(r"[a-z]+", word) and word not in commands:
                problems.append(f"{where}: {service} has no command {word}")

    for service in SERVICES:
        stage = files.stages[service]
        words = stage.words("ENTRYPOINT") + stage.words("CMD") + stage.words("HEALTHCHECK")
        check("Dockerfile", service, stage.pairs("ENV"), words)
    for name, settings, service in files.ours():
        check(name, service, settings.get("environment", {}), settings.get("command", []))
    return problems


def program(files):
    """Non-root, stopped and checked as the program expects it."""
    problems = []
    for service in SERVICES:
        stage = files.stages[service]
        path = f"/usr/bin/{service}"
        expected = {
            "it is not FROM scratch": stage.image == "scratch",
            "it is not the root of deploy/image-root": stage.all("COPY") == [f"--from=build /image/{service} /"],
            "the build does not make the root":
                f"deploy/image-root build {service} /image/{service}" in files.stages["build"].instructions[-1][1],
            "USER is not 65532:65532": stage.last("USER") == "65532:65532",
            "STOPSIGNAL is not SIGTERM": stage.last("STOPSIGNAL") == "SIGTERM",
            "HEALTHCHECK is not the program's own": stage.words("HEALTHCHECK") == [path, "healthcheck"],
            "ENTRYPOINT is not the program": stage.words("ENTRYPOINT") == [path],
            "CMD is not serve": stage.words("CMD") == ["serve"],
            "the database is not below a volume":
                stage.pairs("ENV").get(SERVICES[service] + "DB", "").startswith(f"sqlite:{stage.last('VOLUME')}/"),
        }
        problems += [f"{service}: {problem}" for problem, fine in expected.items() if not fine]
    return problems


def ports(files):
    problems = []

    def listeners(environment, prefix):
        names = [prefix + name for name in ("LISTEN", "INTERNAL_LISTEN", "METRICS_LISTEN")]
        return [environment.get(name, "127.0.0.1:0").rpartition(":") for name in names]

    internal = {}
    for service, prefix in SERVICES.items():
        environment = files.stages[service].pairs("ENV")
        found = listeners(environment, prefix)
        internal[service] = found[1][2]
        problems += [f"{service} listens on {host}" for host, _, _ in found if host != "0.0.0.0"]
        if files.stages[service].last("EXPOSE").split() != [port for _, _, port in found]:
            problems.append(f"{service}: EXPOSE is not what it listens on")
    for name, settings in files.serving():
        environment = files.environment(settings, name)
        public = listeners(environment, SERVICES[name])[0][2]
        if settings.get("ports"):
            problems.append(f"{name} publishes {settings['ports']}, past the edge")
        if files.services["edge"].get("environment", {}).get(
                SERVICES[name].replace("CROSSKEY_", "CROSSKEY_EDGE_").rstrip("_")) != f"{name}:{public}":
            problems.append(f"the edge does not lead to {name}:{public}")
        for where, peer in (("in compose.yaml", environment.get(SERVICES[name] + "PEER")),
                            ("in the image", files.stages[name].pairs("ENV").get(SERVICES[name] + "PEER"))):
            if peer != f"{PEERS[name]}:{internal[PEERS[name]]}":
                problems.append(f"the peer of {name} {where} is {peer}")
        if not set(settings["networks"]) & set(files.services[PEERS[name]]["networks"]):
            problems.append(f"{name} and its peer have no network in common")
    for name, settings in files.services.items():
        problems += [f"{name} publishes {port}, not on 127.0.0.1" for port in settings.get("ports", [])
                     if not re.fullmatch(r"127\.0\.0\.1:\d+:\d+", str(port))]
    return problems


def edge(files):
    """It alone publishes the ports of both services, and is what deploy/edge/haproxy.cfg says."""
    stage, settings = files.stages["edge"], files.services["edge"]
    configuration = files.text("deploy/edge/haproxy.cfg")
    preset = dict(re.findall(r"^  presetenv (\w+) (\S+)$", configuration, re.M))
    known = set(preset) | set(re.findall(r"^\.if defined\((\w+)\)$", configuration, re.M))
    variables = {**stage.pairs("ENV"), **settings.get("environment", {})}
    problems = [f"the edge knows no {name}" for name in variables if name not in known]
    listen = [variables.get(f"CROSSKEY_EDGE_{name}_LISTEN", "127.0.0.1:0").rpartition(":")
              for name in ("USER", "POST", "METRICS")]
    public = [files.environment(files.services[name], name)[SERVICES[name] + "LISTEN"].rpartition(":")[2]
              for name in SERVICES]
    path = "/etc/haproxy/crosskey.cfg"
    words = stage.words("ENTRYPOINT")
    limit = int(words[words.index("-m") + 1]) if "-m" in words else 1 << 20
    between = set(settings["networks"])
    for name in SERVICES:
        between &= set(files.services[name]["networks"])
    others = {network for name, other in files.services.items() if name != "edge" for network in other["networks"]}
    internal = {name for name, network in files.compose["networks"].items() if (network or {}).get("internal") is True}
    version = files.version()
    expected = {
        "it is another version than this": settings["image"] == f"crosskey/edge:{version}" and
            stage.pairs("LABEL").get("org.opencontainers.image.version") == version and
            f"crosskey/edge:{version} ." in files.text("deploy/Dockerfile"),
        "it is not built of deploy/Dockerfile": settings["build"] == {
            "context": "..", "dockerfile": "deploy/Dockerfile", "target": "edge"},
        "its configuration is not the one of deploy/edge":
            f"deploy/edge/haproxy.cfg {path}" in stage.all("COPY") and words[-2:] == ["-f", path],
        "it listens on one interface": all(host == "0.0.0.0" for host, _, _ in listen),
        "it listens on other ports than the services": [port for _, _, port in listen[:2]] == public,
        "EXPOSE is not what it listens on": stage.last("EXPOSE").split() == [port for _, _, port in listen],
        "it publishes something else than both public ports, on loopback":
            settings.get("ports") == [f"127.0.0.1:{port}:{port}" for port in public],
        "USER is not 65532:65532": stage.last("USER") == "65532:65532",
        "STOPSIGNAL is not SIGUSR1, so it breaks calls off": stage.last("STOPSIGNAL") == "SIGUSR1",
        "it is killed while it stops":
            seconds(settings.get("stop_grace_period", "10s")) > seconds(preset["CROSSKEY_EDGE_STOP_TIME"]),
        "it is killed before it reaches its own limit of memory": limit * 1.1 < int(settings["mem_limit"].rstrip("m")),
        "it is not started again": settings.get("restart") == "unless-stopped",
        "it has no health check": bool(stage.words("HEALTHCHECK")),
        "it has no network to the services that leads nowhere else": bool(between & internal),
        "it has no network of its own to the outside": bool(set(settings["networks"]) - others - internal),
        "it reaches a database or NATS": not set(settings["networks"]) & {
            network for each in (*files.databases().values(), *files.event_servers().values())
            for network in each["networks"]},
        "the build of the image does not see its configuration":
            "!deploy/edge/haproxy.cfg" in files.text(".dockerignore").splitlines(),
        "a service is reached from outside past it": all(
            set(files.services[name]["networks"]) <= internal for name in SERVICES),
    }
    return problems + [f"edge: {problem}" for problem, fine in expected.items() if not fine]


def access(files):
    """Every listener beyond the container has TLS, the public one a policy; each side looks who the other one is."""
    problems = []
    script = files.text("deploy/compose/certificates")
    policy = files.load_yaml(files.text("deploy/compose/policy.json"))
    mounted = {name: {volume.split(":")[1]: volume.split(":")[0] for volume in settings.get("volumes", [])}
               for name, settings in files.services.items()}
    for name, settings in files.serving():
        prefix, environment = SERVICES[name], settings.get("environment", {})
        expected = {
            "TLS_CERT": "/run/tls/tls.crt", "TLS_KEY": "/run/tls/tls.key",
            "INTERNAL_TLS_CERT": "/run/tls/internal.crt", "INTERNAL_TLS_KEY": "/run/tls/internal.key",
            "INTERNAL_TLS_CA": "/run/tls/ca.crt", "PEER_IDENTITY": f"spiffe://crosskey/{PEERS[name]}",
            "POLICY": "/run/policy.json", "TOKENS": "/run/callers/tokens.json",
        }
        problems += [f"{name}: {prefix}{variable} is not {value}" for variable, value in expected.items()
                     if environment.get(prefix + variable) != value]
        if prefix + "INSECURE" in {**files.stages[name].pairs("ENV"), **environment}:
            problems.append(f"{name} is insecure")
        for target, source in (("/run/tls", name), ("/run/callers", "callers")):
            if mounted[name].get(target) != f"./compose/access/{source}":
                problems.append(f"{name}: {target} is not the folder {source} of compose/access")
    edge = {**files.services["edge"].get("environment", {})}
    for variable, value in (("CROSSKEY_EDGE_CERTIFICATE", "/run/tls/tls.crt"), ("CROSSKEY_EDGE_CA", "/run/tls/ca.crt")):
        if edge.get(variable) != value or mounted["edge"].get("/run/tls") != "./compose/access/edge":
            problems.append(f"edge: {variable} is not {value} of compose/access/edge")
    for scrape in files.load_yaml(files.text("deploy/prometheus/prometheus.yml"))["scrape_configs"]:
        name = scrape["job_name"]
        tls = {"ca_file": "tls/ca.crt", "server_name": name}
        if name in SERVICES and (scrape.get("scheme") != "https" or scrape.get("tls_config") != tls):
            problems.append(f"Prometheus does not look whether it is {name}")
    if mounted["prometheus"].get("/etc/prometheus/tls") != "./compose/access/prometheus":
        problems.append("prometheus: it has no certificate of the authority")
    names = set(re.findall(r'"name": "([\w-]+)", "sha256"', script)) | {"web"}
    for rule in policy["allow_rules"]:
        principals = rule.get("source", {}).get("principals")
        if not principals or not rule.get("request"):
            problems.append(f"the rule {rule['name']} is for anybody, or for everything")
        problems += [f"the rule {rule['name']} is for {principal}, whom nothing makes"
                     for principal in principals or [] if principal not in {f"token:{each}" for each in names}]
    return problems


def mounts(files):
    """What compose mounts from here is here."""
    problems = []
    volumes = files.compose["volumes"]
    made = re.search(r'^mkdir -p "\$dir"/\{(.*)\}$', files.text("deploy/compose/certificates"), re.M)[1].split(",")
    for name, settings in files.services.items():
        for volume in settings.get("volumes", []):
            source, target = volume.split(":")[:2]
            if source.startswith("."):
                path = os.path.normpath(os.path.join("deploy", source))
                if path.startswith(MADE) and "/" + MADE in files.text(".gitignore").splitlines():
                    if os.path.basename(path) not in made:
                        problems.append(f"compose/certificates does not make {path}")
                elif not os.path.exists(os.path.join(files.root, path)):
                    problems.append(f"{name} mounts {path}, which is not there")
                if not volume.endswith(":ro"):
                    problems.append(f"{name} can write to {path}")
            elif source not in volumes:
                problems.append(f"{name} has the volume {source}, which is not declared")
            if "docker.sock" in volume:
                problems.append(f"{name} has {target}")
    for name, settings, _ in files.ours():
        build = settings["build"]
        context = os.path.join(files.root, "deploy", build["context"])
        if os.path.realpath(context) != os.path.realpath(files.root) or build["dockerfile"] != "deploy/Dockerfile":
            problems.append(f"{name} is not built of deploy/Dockerfile with the whole repository")
    # The image of MariaDB runs a file that is executable, and then the file lacks the function that it needs.
    if os.access(os.path.join(files.root, "deploy/compose/accounts.sh"), os.X_OK):
        problems.append("deploy/compose/accounts.sh is executable, so the image of MariaDB would not source it")
    return problems


def dashboards(files):
    """Grafana looks for dashboards where they are mounted."""
    folder = os.path.join(files.root, "deploy/grafana/provisioning/dashboards")
    paths = []
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        if name.endswith((".yaml", ".yml")):
            providers = files.load_yaml(files.text(f"deploy/grafana/provisioning/dashboards/{name}"))["providers"]
            paths += [provider["options"]["path"] for provider in providers]
    if not paths:
        return ["there is no provider of dashboards in deploy/grafana/provisioning/dashboards"]
    targets = [volume.split(":")[1] for volume in files.services["grafana"]["volumes"]]
    return [f"Grafana looks for dashboards in {path}, where nothing is mounted"
            for path in paths if path not in targets]


def secrets(files):
    problems = []
    declared = files.compose["secrets"]
    script = files.text("deploy/compose/secrets")
    made = re.search(r"^for name in (.*?); do$", script, re.M | re.S)[1].split()
    made += re.findall(r'mv -f "\$dir/(\w+)\.new" "\$dir/\1"', script)
    used = set()
    for name, settings in files.services.items():
        granted = settings.get("secrets", [])
        used.update(granted)
        problems += [f"{name} gets the secret {secret}, which is not declared"
                     for secret in granted if secret not in declared]
        for variable, value in settings.get("environment", {}).items():
            if "PASSWORD" in variable and not variable.endswith("_FILE"):
                problems.append(f"{name}: {variable} holds a password itself")
            if variable.endswith("_FILE") and value not in [f"/run/secrets/{secret}" for secret in granted]:
                problems.append(f"{name}: {variable} is {value}, which it does not get")
    problems += [f"the secret {name} is nobody's" for name in declared if name not in used]
    for name, secret in declared.items():
        if secret != {"file": f"./compose/passwords/{name}"} or name not in made:
            problems.append(f"compose/secrets does not make the secret {name}")
    if "/deploy/compose/passwords/" not in files.text(".gitignore").splitlines():
        problems.append("git does not ignore the passwords")
    return problems


def hardening(files):
    problems = []
    for name, settings in files.services.items():
        expected = {
            "its root can be written to": settings.get("read_only") is True,
            "it keeps capabilities": settings.get("cap_drop") == ["ALL"] and "cap_add" not in settings,
            "it may get new privileges": settings.get("security_opt") == ["no-new-privileges:true"],
            "it has no limit of memory": "mem_limit" in settings,
            "it has no limit of processes": "pids_limit" in settings,
            "it is privileged":
                not any(key in settings for key in ("privileged", "devices", "pid", "ipc", "network_mode")),
            "it runs as root": settings.get("user", "1") not in ("0", "root", "0:0"),
            "it has a network that is not declared": set(settings["networks"]) <= set(files.compose["networks"]),
        }
        problems += [f"{name}: {problem}" for problem, fine in expected.items() if not fine]
    for server, settings in {**files.databases(), **files.event_servers()}.items():
        for name in settings["networks"]:
            if (files.compose["networks"][name] or {}).get("internal") is not True:
                problems.append(f"the network {name} of {server} leads elsewhere")
    return problems


def order(files):
    """First the database, then the schema, then the service; and time enough to stop."""
    problems = []
    for name, settings, service in files.ours():
        conditions = {other: entry["condition"] for other, entry in settings.get("depends_on", {}).items()}
        if name == service:
            migrate = name.replace("-service", "-migrate")
            expected = {migrate: "service_completed_successfully"}
            if seconds(settings.get("stop_grace_period", "10s")) < STOP + 1:
                problems.append(f"{name} is killed while it stops")
            if settings.get("restart") != "unless-stopped":
                problems.append(f"{name} is not started again")
        else:
            expected = {"mariadb": "service_healthy"}
            if settings.get("command") != ["migrate"] or settings.get("restart") != "no":
                problems.append(f"{name} does not just migrate once")
            if settings.get("healthcheck") != {"disable": True}:
                problems.append(f"{name} is checked as if it served")
        if conditions != expected:
            problems.append(f"{name} waits for {conditions}, not for {expected}")
    for name, settings in {**files.databases(), **files.event_servers()}.items():
        if "test" not in settings.get("healthcheck", {}):
            problems.append(f"{name} has no health check")
        if settings.get("restart") != "unless-stopped":
            problems.append(f"{name} is not started again")
    return problems


def accounts(files):
    """Each container has an account of its own, which exists, on the database that its network leads to."""
    problems = []
    text = files.text("deploy/compose/accounts.sh")
    databases = dict(re.findall(r"crosskey_accounts (crosskey_\w+) (\w+)", text))
    known = {}
    for database, secret in databases.items():
        known[database] = (database, secret)
        known[f"{database}_migrate"] = (database, f"{secret}_migrate")
    for name, settings, service in files.ours():
        prefix = SERVICES[service]
        environment = settings.get("environment", {})
        url = re.fullmatch(r"mysql://(\w+)@([\w:,-]+)/(\w+)", environment.get(prefix + "DB", ""))
        account, hosts, database = url.groups() if url else ("", "", "")
        if set(hosts.split(",")) != {f"{each}:3306" for each in files.databases()}:
            problems.append(f"{name} does not know {' '.join(files.databases())}")
        secret = os.path.basename(environment.get(prefix + "DB_PASSWORD_FILE", ""))
        if known.get(account) != (database, secret):
            problems.append(f"{name}: accounts.sh does not make {account} for {database} with the secret {secret}")
        if account.endswith("_migrate") != (name != service):
            problems.append(f"{name} has the account {account}")
        expected = [secret]
        if prefix + "EVENTS" in environment:
            expected.append(service.replace("-service", "_events"))
        if settings.get("secrets") != expected:
            problems.append(f"{name} gets the secrets {settings.get('secrets')}")
        network = service.replace("-service", "-db")
        for server in files.databases().values():
            if network not in settings["networks"] or network not in server["networks"]:
                problems.append(f"{name} does not reach the database by {network}")
            others = {other for other in server["networks"] if other != network}
            if others & set(settings["networks"]):
                problems.append(f"{name} reaches the database by the other service's network")
    return problems


def connections(files):
    """MariaDB takes as many sessions as the pools may open."""
    total = 1  # an administrator
    for name, settings, service in files.ours():
        default = re.search(r"--db-pool N\s.*\n\s*default (\d+)", files.helps[service])[1]
        pool = files.environment(settings, service).get(SERVICES[service] + "DB_POOL", default)
        total += int(pool) if name == service else 1
    limit = int(re.search(r"^max_connections = (\d+)$", files.text("deploy/compose/mariadb.cnf"), re.M)[1])
    return [f"max_connections is {limit}, but {total} sessions may be opened"] if limit < total else []


def cluster(files):
    """Several database servers are a cluster, which exactly one of them begins."""
    problems = []
    servers = files.databases()
    if len(servers) == 1:
        return []
    if len(servers) < 3 or len(servers) % 2 == 0:
        problems.append(f"of {len(servers)} database servers half may be cut off")
    text = files.text("deploy/compose/galera.cnf")
    known = dict(re.findall(r"^(\w+) = (.+)$", text, re.M))
    if known.get("wsrep_cluster_address") != "gcomm://" + ",".join(f"{name}-galera" for name in servers):
        problems.append(f"wsrep_cluster_address is not that of {' '.join(servers)}")
    for name, value in (("wsrep_on", "ON"), ("binlog_format", "ROW"), ("wsrep_sst_auth", "mysql:")):
        if known.get(name) != value:
            problems.append(f"{name} is not {value}")
    first = {name: settings["environment"]["GALERA_FIRST"] for name, settings in servers.items()
             if "GALERA_FIRST" in settings["environment"]}
    # Set for ever, a first server without its volume would begin an empty cluster, which the others copy.
    if first != {"mariadb": "${GALERA_FIRST:-}"}:
        problems.append(f"the cluster is begun by {first}")
    script = files.text("deploy/compose/galera.sh")
    for option in ("address=$GALERA_NAME-galera\n", "gmcast.listen_addr=tcp://$ip:4567;",
                   "ist.recv_bind=$ip\"", '--wsrep-node-address="$address"', "/dev/tcp/$other-galera/4567"):
        if option not in script:
            problems.append(f"galera.sh replicates elsewhere, without {option.strip()}")
    if known.get("wsrep_provider_options"):
        problems.append("wsrep_provider_options are galera.sh's")
    problems += [f"{name} reaches replication" for name, settings in files.services.items()
                 if "replication" in settings["networks"] and name not in servers]
    volumes = []
    for name, settings in servers.items():
        mounted = {volume.split(":")[1]: volume.split(":")[0] for volume in settings["volumes"]}
        volumes.append(mounted.get("/var/lib/mysql"))
        environment = settings["environment"]
        expected = {
            "it has not the settings of both files":
                mounted.get("/etc/mysql/conf.d/crosskey.cnf") == "./compose/mariadb.cnf"
                and mounted.get("/etc/mysql/conf.d/galera.cnf") == "./compose/galera.cnf",
            "it is not started by galera.sh": settings.get("entrypoint") == ["bash", "/usr/local/bin/galera.sh"]
                and settings.get("command") == ["mariadbd"]
                and mounted.get("/usr/local/bin/galera.sh") == "./compose/galera.sh",
            "it has another name": environment.get("GALERA_NAME") == name,
            "it has another name for replication": isinstance(settings["networks"], dict)
                and settings["networks"].get("replication") == {"aliases": [f"{name}-galera"]},
            "it does not know the others":
                environment.get("GALERA_OTHERS", "").split() == [other for other in servers if other != name],
            "it is healthy outside of the cluster": "--galera_online" in settings["healthcheck"]["test"],
            "it is another version": settings["image"] == servers["mariadb"]["image"],
            "it stops after the first one, which then cannot begin again":
                name in first or settings.get("depends_on") == {"mariadb": {"condition": "service_started"}},
            "the first one has no account for copies": name not in first or (
                environment.get("MARIADB_MYSQL_LOCALHOST_GRANTS") == "RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR"
                and "MARIADB_MYSQL_LOCALHOST_USER" in environment),
        }
        problems += [f"{name}: {problem}" for problem, fine in expected.items() if not fine]
    if None in volumes or len(set(volumes)) != len(volumes):
        problems.append("database servers share a volume, or have none")
    return problems


def events(files):
    """NATS: servers that know each other, TLS, a user with its rights for each service, and nobody waits for it."""
    problems, servers = [], files.event_servers()
    if not servers:
        return [f"{name} is told of a NATS that is not there" for name, settings, service in files.ours()
                if any(key.startswith(SERVICES[service] + "EVENTS") for key in settings.get("environment", {}))]
    if len(servers) < 3 or len(servers) % 2 == 0:
        problems.append(f"of {len(servers)} servers of NATS half may be cut off")
    config = nats_config.parse(files.text("deploy/compose/nats.conf"))
    clustered, stream = config.get("cluster", {}), config.get("jetstream", {})
    tls = {"cert_file": "/etc/nats/tls/tls.crt", "key_file": "/etc/nats/tls/tls.key", "timeout": "5"}
    expected = {
        "servers do not know each other": clustered.get("routes") == [f"nats-route://{name}:6222" for name in servers],
        "clients are told addresses": clustered.get("no_advertise") == "true",
        "the servers have one name": config.get("server_name") == "$SERVER_NAME",
        "what is acknowledged may not be on the disk": stream.get("sync_interval") == "always",
        "it takes requests that are not of their form": stream.get("strict") == "true",
        "there is no limit of the store": "max_file_store" in stream,
        "no TLS for clients": config.get("tls") == tls,
        "whoever reaches the port is a server":
            clustered.get("tls") == {**tls, "ca_file": "/etc/nats/tls/ca.crt", "verify": "true"},
        "the passwords are not included": config.get("include") == ["../../run/secrets/nats_passwords"],
        "the monitor is beyond the container": config.get("http") == "127.0.0.1:8222",
    }
    problems += [f"NATS: {problem}" for problem, fine in expected.items() if not fine]
    problems += [f"NATS: {problem}" for problem in nats_config.may_too_much(config, PEERS, "crosskey")]
    version = re.search(r"image: (nats:\S+)", files.text("deploy/kubernetes/components/nats/nats.yaml"))[1]
    problems += [f"{name}: it is another version than {version}" for name, settings in servers.items()
                 if settings["image"].removesuffix("-alpine") != version]
    made = dict(re.findall(r'(\w+) "\$\(cat "\$dir/(\w+)"\)"', files.text("deploy/compose/secrets")))
    if made != {"USER_SERVICE": "user_events", "POST_SERVICE": "post_events", "OPERATOR": "nats_operator",
                "READER": "nats_reader", "READERS_OPERATOR": "nats_readers_operator"}:
        problems.append(f"NATS: compose/secrets makes the passwords {made}")
    names = re.search(r"^certificate nats/tls (\S+) serverAuth,clientAuth$", files.text("deploy/compose/certificates"),
                      re.M)[1].split(",")
    if names != [f"DNS:{name}" for name in servers]:
        problems.append("NATS: the certificate is for others")
    volumes = []
    for name, settings in servers.items():
        mounted = {volume.split(":")[1]: volume.split(":")[0] for volume in settings["volumes"]}
        volumes.append(mounted.get(stream.get("store_dir")))
        expected = {
            "it has another configuration": settings.get("command") == ["--config", "/etc/nats/nats.conf"]
                and mounted.get("/etc/nats/nats.conf") == "./compose/nats.conf",
            "it has another name": settings.get("environment", {}).get("SERVER_NAME") == name,
            "it has not its certificate": mounted.get("/etc/nats/tls") == "./compose/access/nats",
            "it gets another secret": settings.get("secrets") == ["nats_passwords"],
            "it is published": "ports" not in settings,
            "it has other networks": settings["networks"] == ["events"],
        }
        problems += [f"{name}: {problem}" for problem, fine in expected.items() if not fine]
    if None in volumes or len(set(volumes)) != len(volumes):
        problems.append("servers of NATS share a volume, or have none")
    for name, settings, service in files.ours():
        environment, prefix = settings.get("environment", {}), SERVICES[service]
        url = re.fullmatch(r"tls://([\w-]+)@([\w:,-]+)/crosskey", environment.get(prefix + "EVENTS", ""))
        if name != service:
            problems += [f"{name} reaches NATS" for _ in {"events"} & set(settings["networks"])]
        elif not url or url[1] != service or set(url[2].split(",")) != {f"{each}:4222" for each in servers}:
            problems.append(f"{name} does not know the servers of NATS, or says another name")
        else:
            expected = {
                "it does not look who they are": environment.get(prefix + "EVENTS_CA") == "/run/tls/ca.crt",
                "a stream is not on every server": environment.get(prefix + "EVENTS_REPLICAS") == str(len(servers)),
                "it says another password": environment.get(prefix + "EVENTS_PASSWORD_FILE") ==
                    f"/run/secrets/{service.replace('-service', '_events')}",
                "it does not reach them": "events" in settings["networks"],
                "it waits for NATS": not set(servers) & set(settings.get("depends_on", {})),
            }
            problems += [f"{name}: {problem}" for problem, fine in expected.items() if not fine]
    for name, settings in files.services.items():
        if "events" in settings["networks"] and name not in servers and name not in SERVICES:
            problems.append(f"{name} reaches NATS")
    return problems


RULES = {
    "images are pinned, ours to this version": images,
    "variables, flags and commands are those of --help": settings_exist,
    "the images: user, signal, health check, program": program,
    "ports": ports,
    "the edge": edge,
    "TLS and policy": access,
    "what compose mounts is there": mounts,
    "dashboards are where Grafana looks for them": dashboards,
    "secrets": secrets,
    "read-only, without capabilities, limited": hardening,
    "order of start, time to stop": order,
    "accounts": accounts,
    "connections": connections,
    "several database servers": cluster,
    "NATS": events,
}


def broken(rule, files):
    try:
        return rule(files)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        return [f"not of the form that is expected: {error!r}"]
