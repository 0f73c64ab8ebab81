"""Shows that the rules notice what is wrong: each is given files with one mistake, and has to report it."""

import policy

COMPOSE, DOCKERFILE, PROMETHEUS = "deploy/compose.yaml", "deploy/Dockerfile", "deploy/prometheus/prometheus.yml"

# (path, what is there, what is put in its place, a part of what has to be said)
MISTAKES = [
    (COMPOSE, "prom/prometheus:v3.5.0", "prom/prometheus:latest", "not pinned"),
    (COMPOSE, "prom/prometheus:v3.5.0", "prom/prometheus", "not pinned"),
    (DOCKERFILE, "FROM debian:12.12-slim", "FROM debian:bookworm-slim", "not pinned"),
    (COMPOSE, "crosskey/post-service:0.1.0", "crosskey/post-service:0.0.1", "but this is"),
    (DOCKERFILE, 'image.version="0.1.0"', 'image.version="9.9.9"', "another version"),
    (COMPOSE, "CROSSKEY_USER_PEER", "CROSSKEY_USER_PEERS", "knows no CROSSKEY_USER_PEERS"),
    (DOCKERFILE, "CROSSKEY_POST_LOG_FORMAT", "CROSSKEY_POST_LOGS", "knows no CROSSKEY_POST_LOGS"),
    (COMPOSE, "CROSSKEY_POST_DB_PASSWORD_FILE", "CROSSKEY_USER_DB_PASSWORD_FILE", "post-service knows no"),
    (DOCKERFILE, 'CMD ["serve"]', 'CMD ["serve", "--verbose"]', "knows no --verbose"),
    (COMPOSE, "command: [migrate]", "command: [upgrade]", "has no command upgrade"),
    (DOCKERFILE, "USER 65532:65532", "USER 0:0", "USER is not"),
    (DOCKERFILE, "USER 65532:65532\n", "", "USER is not"),
    (DOCKERFILE, '"healthcheck"]', '"version"]', "HEALTHCHECK is not"),
    (DOCKERFILE, "FROM scratch AS post-service", "FROM debian:12.12-slim AS post-service", "not FROM scratch"),
    (DOCKERFILE, "STOPSIGNAL SIGTERM", "STOPSIGNAL SIGKILL", "STOPSIGNAL"),
    (DOCKERFILE, "sqlite:/data/", "sqlite:/srv/", "not below a volume"),
    (DOCKERFILE, "EXPOSE 50051 50061 9451", "EXPOSE 50051 50061", "EXPOSE"),
    (DOCKERFILE, "CROSSKEY_USER_METRICS_LISTEN=0.0.0.0", "CROSSKEY_USER_METRICS_LISTEN=127.0.0.1",
     "listens on 127.0.0.1"),
    (DOCKERFILE, "PEER=post-service:50062", "PEER=post-service:50052", "the peer of user-service in the image"),
    (COMPOSE, "PEER: user-service:50061", "PEER: user-service:50051", "the peer of post-service in compose"),
    (COMPOSE, '"127.0.0.1:50051:50051"', '"50051:50051"', "not on 127.0.0.1"),
    (COMPOSE, '"127.0.0.1:50052:50052"', '"127.0.0.1:50052:50052", "127.0.0.1:50062:50062"',
     "something else than both public ports"),
    (COMPOSE, "    networks: [edge, services, post-db]",
     '    ports: ["127.0.0.1:50082:50052"]\n    networks: [edge, services, post-db]', "past the edge"),
    (COMPOSE, "CROSSKEY_EDGE_USER: user-service:50051", "CROSSKEY_EDGE_USER: user-service:50061",
     "does not lead to user-service:50051"),
    (COMPOSE, "CROSSKEY_EDGE_POST:", "CROSSKEY_EDGE_POSTS:", "knows no CROSSKEY_EDGE_POSTS"),
    (COMPOSE, "networks: [public, edge]", "networks: [public, edge, post-db]", "reaches a database"),
    (COMPOSE, "networks: [public, edge]", "networks: [edge]", "no network of its own to the outside"),
    (COMPOSE, "networks: [edge, services, user-db]", "networks: [public, edge, services, user-db]", "past it"),
    (COMPOSE, "  edge: {internal: true}", "  edge: {}", "leads nowhere else"),
    (COMPOSE, "stop_grace_period: 20s", "stop_grace_period: 10s", "edge: it is killed while it stops"),
    (COMPOSE, "crosskey/edge:0.1.0", "crosskey/edge:0.0.1", "edge: it is another version"),
    (DOCKERFILE, "STOPSIGNAL SIGUSR1", "STOPSIGNAL SIGTERM", "breaks calls off"),
    (DOCKERFILE, '"-m", "400"', '"-m", "600"', "before it reaches its own limit"),
    (DOCKERFILE, "haproxy.cfg /etc/haproxy/crosskey.cfg", "haproxy.cfg /etc/haproxy/haproxy.cfg",
     "not the one of deploy/edge"),
    (DOCKERFILE, "EXPOSE 50051 50052 9453", "EXPOSE 50051 50052", "edge: EXPOSE"),
    (".dockerignore", "!deploy/edge/haproxy.cfg\n", "", "does not see its configuration"),
    (COMPOSE, "./compose/mariadb.cnf:", "./compose/server.cnf:", "which is not there"),
    (COMPOSE, "conf.d/crosskey.cnf:ro", "conf.d/crosskey.cnf", "can write to"),
    (COMPOSE, "dashboards:ro\n    tmpfs", "other:ro\n    tmpfs", "where nothing is mounted"),
    (COMPOSE, "secrets: [post_db]", "secrets: [post_password]", "is not declared"),
    (COMPOSE, "/run/secrets/grafana_admin", "/run/secrets/mariadb_root", "which it does not get"),
    (COMPOSE, "GF_SECURITY_ADMIN_PASSWORD__FILE: /run/secrets/grafana_admin", "GF_SECURITY_ADMIN_PASSWORD: a",
     "holds a password itself"),
    ("deploy/compose/secrets", "post_db_migrate grafana_admin", "post_db_migrate",
     "does not make the secret grafana_admin"),
    (".gitignore", "/deploy/compose/passwords/", "", "git does not ignore"),
    (COMPOSE, "CROSSKEY_USER_TLS_CERT: /run/tls/tls.crt", "CROSSKEY_USER_INSECURE: 1", "user-service is insecure"),
    (COMPOSE, "CROSSKEY_POST_POLICY: /run/policy.json", "CROSSKEY_POST_LOG_LEVEL: info", "CROSSKEY_POST_POLICY is not"),
    (COMPOSE, "PEER_IDENTITY: spiffe://crosskey/post-service", "PEER_IDENTITY: spiffe://crosskey/user-service",
     "PEER_IDENTITY is not"),
    (COMPOSE, "./compose/access/post-service:", "./compose/access/user-service:", "is not the folder post-service"),
    (COMPOSE, "./compose/access/edge:", "./compose/access/edges:", "does not make deploy/compose/access/edges"),
    (COMPOSE, "CROSSKEY_EDGE_CA: /run/tls/ca.crt", "CROSSKEY_EDGE_CALLS: 1000", "CROSSKEY_EDGE_CA is not"),
    (COMPOSE, "/etc/prometheus/tls:ro", "/etc/prometheus/tls", "can write to"),
    (PROMETHEUS, "scheme: https", "scheme: http", "does not look whether it is"),
    (PROMETHEUS, "server_name: post-service", "server_name: user-service", "does not look whether it is post-service"),
    (".gitignore", "/deploy/compose/access/", "", "which is not there"),
    ("deploy/compose/policy.json", '"source": {"principals": ["token:web"]},', "", "is for anybody"),
    ("deploy/compose/policy.json", "token:operator", "token:root", "whom nothing makes"),
    (COMPOSE, "read_only: true", "read_only: false", "can be written to"),
    (COMPOSE, "cap_drop: [ALL]", "cap_drop: [NET_RAW]", "keeps capabilities"),
    (COMPOSE, '["no-new-privileges:true"]', "[]", "new privileges"),
    (COMPOSE, "post-db: {internal: true}", "post-db: {}", "leads elsewhere"),
    (COMPOSE, "mem_limit: 1536m", "cpus: 2", "no limit of memory"),
    (COMPOSE, 'user: "999:999"', 'user: "0:0"', "runs as root"),
    (COMPOSE, "stop_grace_period: 15s", "stop_grace_period: 10s", "is killed while it stops"),
    (COMPOSE, "service_completed_successfully", "service_started", "waits for"),
    (COMPOSE, "service_healthy", "service_started", "waits for"),
    (COMPOSE, "mysql://crosskey_user@", "mysql://crosskey_user_migrate@", "has the account"),
    (COMPOSE, "mysql://crosskey_post@mariadb:3306/crosskey_post", "mysql://crosskey_post@mariadb:3306/crosskey_user",
     "does not make crosskey_post for crosskey_user"),
    (COMPOSE, "networks: [edge, services, post-db]", "networks: [edge, services, post-db, user-db]",
     "the other service's network"),
    ("deploy/compose/mariadb.cnf", "max_connections = 100", "max_connections = 30", "sessions may be opened"),
]


def unnoticed(root, helps, load_yaml):
    right = policy.Files(root, helps, load_yaml)
    before = {problem for rule in policy.RULES.values() for problem in policy.broken(rule, right)}
    missed = []
    for path, old, new, said in MISTAKES:
        text = right.text(path)
        if old not in text:
            missed.append(f"{path} has no {old!r}")
            continue
        wrong = policy.Files(root, helps, load_yaml, {path: text.replace(old, new)})
        problems = {problem for rule in policy.RULES.values() for problem in policy.broken(rule, wrong)} - before
        if not any(said in problem for problem in problems):
            missed.append(f"not noticed in {path}: {old!r} -> {new!r}")
    return missed
