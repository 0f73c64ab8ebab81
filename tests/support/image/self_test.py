"""Shows that the rules notice what is wrong: each is given files with one mistake, and has to report it."""

import policy

GALERA, NATS = policy.ADDITIONS
SETTINGS, SERVER = "deploy/compose/galera.cnf", "deploy/compose/nats.conf"
SCRIPT = "deploy/compose/galera.sh"
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
    ("deploy/compose/secrets", "nats_operator \\\n  grafana_admin", "post_events",
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
    (GALERA, "image: mariadb:10.11.18", "image: mariadb:10.11", "it is another version"),
    (GALERA, "@mariadb:3306,mariadb-2:3306,mariadb-3:3306/crosskey_user", "@mariadb:3306,mariadb-2:3306/crosskey_user",
     "does not know mariadb mariadb-2 mariadb-3"),
    (GALERA, "mariadb-3:/var/lib/mysql", "mariadb-2:/var/lib/mysql", "share a volume"),
    (GALERA, "GALERA_NAME: mariadb-3", "GALERA_NAME: mariadb-2", "it has another name"),
    (GALERA, "GALERA_OTHERS: mariadb mariadb-2", "GALERA_OTHERS: mariadb", "does not know the others"),
    (GALERA, "GALERA_NAME: mariadb-2", 'GALERA_NAME: mariadb-2\n      GALERA_FIRST: "1"', "is begun by"),
    (GALERA, "      GALERA_FIRST: ${GALERA_FIRST:-}\n", "", "is begun by"),
    (GALERA, "GALERA_FIRST: ${GALERA_FIRST:-}", 'GALERA_FIRST: "1"', "is begun by"),
    (GALERA, "{aliases: [mariadb-2-galera]}", "{}", "another name for replication"),
    (GALERA, "replication: {internal: true}", "replication: {}", "leads elsewhere"),
    (GALERA, "  user-service:\n", "  user-service:\n    networks: [replication]\n", "reaches replication"),
    (SCRIPT, "gmcast.listen_addr=tcp://$ip:4567;", "", "replicates elsewhere"),
    (SCRIPT, "address=$GALERA_NAME-galera", "address=$GALERA_NAME", "replicates elsewhere"),
    (SETTINGS, "wsrep_on = ON", "wsrep_on = ON\nwsrep_provider_options = gcache.size=1G", "are galera.sh's"),
    (GALERA, "entrypoint: [bash, /usr/local/bin/galera.sh]", "entrypoint: [docker-entrypoint.sh]",
     "is not started by galera.sh"),
    (GALERA, ", --galera_online]", "]", "healthy outside of the cluster"),
    (GALERA, "    mariadb: {condition: service_started}", "    mariadb: {condition: service_healthy}", "stops after"),
    (GALERA, "LOCK TABLES, ", "", "no account for copies"),
    (GALERA, "      user-db: {}\n", "      user-db: {}\n      public: {}\n", "leads elsewhere"),
    (GALERA, "  cap_drop: [ALL]\n", "", "keeps capabilities"),
    (GALERA, "./compose/galera.cnf:/etc", "./compose/galera2.cnf:/etc", "which is not there"),
    (SETTINGS, "mariadb-galera,mariadb-2-galera,mariadb-3-galera", "mariadb,mariadb-2,mariadb-3",
     "wsrep_cluster_address is not"),
    (SETTINGS, "wsrep_on = ON", "wsrep_on = OFF", "wsrep_on is not"),
    (NATS, "image: nats:2.12.15-alpine", "image: nats:alpine", "not pinned"),
    (NATS, "image: nats:2.12.15-alpine", "image: nats:2.12.14-alpine", "it is another version than"),
    (NATS, "SERVER_NAME: nats-1", "SERVER_NAME: nats-0", "nats-1: it has another name"),
    (NATS, "- nats-2:/data", "- nats-1:/data", "share a volume"),
    (NATS, "  read_only: true\n", "", "can be written to"),
    (NATS, "networks: [events]\n  stop", "networks: [events, edge]\n  stop", "nats-0: it has other networks"),
    (NATS, "events: {internal: true}", "events: {}", "leads elsewhere"),
    (NATS, "  stop_grace_period: 30s", '  ports: ["127.0.0.1:4222:4222"]', "it is published"),
    (NATS, "./compose/access/nats:", "./compose/access/edge:", "it has not its certificate"),
    (NATS, "EVENTS: tls://user-service@", "EVENTS: nats://user-service@", "says another name"),
    (NATS, "EVENTS: tls://post-service@", "EVENTS: tls://user-service@", "says another name"),
    (NATS, "nats-1:4222,nats-2:4222/crosskey", "nats-1:4222/crosskey", "does not know the servers of NATS"),
    (NATS, "CROSSKEY_USER_EVENTS_CA: /run/tls/ca.crt", "CROSSKEY_USER_LOG_LEVEL: info", "does not look who they are"),
    (NATS, "/run/secrets/user_events", "/run/secrets/user_db", "it says another password"),
    (NATS, "secrets: [user_events]", "secrets: [post_events]", "gets the secrets"),
    (NATS, 'CROSSKEY_POST_EVENTS_REPLICAS: "3"', 'CROSSKEY_POST_EVENTS_REPLICAS: "1"', "is not on every server"),
    (NATS, "    secrets: [user_events]", "    depends_on: {nats-0: {condition: service_healthy}}\n"
     "    secrets: [user_events]", "waits for"),
    (NATS, "  healthcheck:\n    test:", "  healthcheck:\n    tests:", "nats-0 has no health check"),
    (SERVER, "sync_interval: always", "sync_interval: 1s", "may not be on the disk"),
    (SERVER, "strict: true", "", "not of their form"),
    (SERVER, "user: operator", "user: admin", "the users are"),
    (SERVER, '"$JS.API.>"', '">"', "operator may publish to"),
    (SERVER, "verify: true", "verify: false", "whoever reaches the port"),
    (SERVER, '"nats-route://nats-2:6222"', "", "do not know each other"),
    (SERVER, "no_advertise: true", "", "told addresses"),
    (SERVER, '"127.0.0.1:8222"', '"0.0.0.0:8222"', "the monitor is beyond"),
    (SERVER, "\ntls {", "\nother {", "no TLS for clients"),
    (SERVER, '"crosskey.user-service.>"', '"crosskey.>"', "user-service may publish to"),
    (SERVER, '"$JS.FC.crosskey_user-service.>"', "", "post-service may not publish to"),
    (SERVER, "$POST_SERVICE_PASSWORD", "secret", "is not the one that is included"),
    (SERVER, 'include "../../run/secrets/nats_passwords"', "", "are not included"),
    ("deploy/compose/secrets", "user_events post_events", "user_events", "does not make the secret post_events"),
    ("deploy/compose/secrets", 'OPERATOR "$(cat "$dir/nats_operator")"', "", "makes the passwords"),
    ("deploy/compose/certificates", "DNS:nats-1,", "", "the certificate is for others"),
]
# These are of no use to compose.yaml alone.
ADDED = (GALERA, NATS, SETTINGS, SCRIPT, SERVER, "deploy/compose/secrets", "deploy/compose/certificates")


def unnoticed(root, helps, load_yaml):
    right = policy.Files(root, helps, load_yaml)
    missed = []

    def problems_of(path, changes):
        files = policy.Files(root, helps, load_yaml, changes, policy.ADDITIONS if path in ADDED else ())
        return {problem for rule in policy.RULES.values() for problem in policy.broken(rule, files)}

    for path, old, new, said in MISTAKES:
        text = right.text(path)
        if old not in text:
            missed.append(f"{path} has no {old!r}")
            continue
        problems = problems_of(path, {path: text.replace(old, new)}) - problems_of(path, {})
        if not any(said in problem for problem in problems):
            missed.append(f"not noticed in {path}: {old!r} -> {new!r}")
    return missed
