"""What is measured: Crosskey, its limits and its peers. Each system has its own databases, and runs until stop()."""

import hashlib
import json
import os
import sqlite3
import time

from processes import Failure, Process, await_port, free_port, metrics, run, run_json

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SERVICES = ("user-service", "post-service")

# What the files schema.sql of the peers fill in.
LISTED, EACH = 100, 50
WRITTEN = range(201, 1201)
FILLED = {"listed_users": list(range(1, LISTED + 1)), "written_users": list(WRITTEN), "hot_user": 1300,
          "read_posts": list(range(1, LISTED * EACH + 1)),
          "like_posts": list(range(LISTED * EACH + 1, 2 * LISTED * EACH + 1)), "liked_posts": [], "posts_each": EACH}


class System:
    """`name`: how it is called in the results. `folder`: for its files."""

    def __init__(self, name, settings):
        self.name = name
        self.settings = settings
        self.folder = os.path.join(settings.temp, name.replace(" ", "-"))
        self.processes = []
        os.makedirs(self.folder)

    def start_process(self, name, command, environment=None):
        process = Process(name, command, os.path.join(self.folder, name + ".log"), environment)
        self.processes.append(process)
        return process

    def stop(self):
        for process in reversed(self.processes):
            process.stop()
        self.processes = []

    def program(self, name):
        return os.path.join(self.settings.build, "tests", "benchmark", "crosskey-benchmark-" + name)

    def watched(self):
        pids = [f"--watch={process.name}={'+'.join(map(str, process.pids()))}" for process in self.processes]
        return pids + ([f"--watch=mariadbd={self.settings.mariadb.pid}"] if self.uses_mariadb() else [])

    def uses_mariadb(self):
        return True

    def addresses(self):
        """Flags of the client."""
        raise NotImplementedError

    def population(self):
        return os.path.join(self.folder, "population.json")

    def client(self, command, *flags):
        for process in self.processes:
            process.must_run()
        return run_json([self.program("client"), command, *self.addresses(), f"--population={self.population()}",
                         *flags], 600)

    def load(self, groups, seconds, seed):
        return self.client("load", *[f"--group={group}" for group in groups], f"--seconds={seconds}",
                           f"--warm-up={self.settings.warm_up}", f"--seed={seed}", *self.watched())

    def settle(self):
        """Returns when nothing is left to do from earlier calls."""


class Ours(System):
    """Both services, of a build folder, on a kind of database."""

    def __init__(self, name, settings, build, database, listed=LISTED):
        super().__init__(name, settings)
        self.build = build
        self.database = database
        self.listed = listed
        self.has_references = False
        self.ports = [free_port() for _ in range(6)]
        self.names = {service: f"{self.folder_name()}_{service.split('-')[0]}" for service in SERVICES}

    def folder_name(self):
        return os.path.basename(self.folder).replace("-", "_")

    def uses_mariadb(self):
        return self.database == "mariadb"

    def db(self, service):
        if self.uses_mariadb():
            return self.settings.mariadb.url(self.names[service])
        return "sqlite:" + self.file(service)

    def file(self, service):
        return os.path.join(self.folder, service + ".db")

    def binary(self, service):
        return os.path.join(self.build, service, service)

    def start(self):
        if self.uses_mariadb():
            for service in SERVICES:
                self.settings.mariadb.execute(f"CREATE DATABASE {self.names[service]} CHARACTER SET utf8mb4;")
                run([self.binary(service), "migrate", "--db", self.db(service)])
        self.serve()
        self.client("fill", f"--listed={self.listed}", f"--posts-each={EACH}", f"--written={len(WRITTEN)}")
        self.settle()

    def flags(self, service):
        """Further ones of a service."""
        return []

    def serve(self, hears=True, events=None):
        """`hears`: user-service reaches post-service, so it consumes its events. `events`: the URL of --events."""
        of_events = ["--events", events, "--events-replicas", "3"] if events else []
        for index, service in enumerate(SERVICES):
            peer = self.ports[3 - index] if hears or index == 1 else free_port()
            self.start_process(service, [
                self.binary(service), "serve", "--db", self.db(service),
                "--listen", f"127.0.0.1:{self.ports[index]}",
                "--internal-listen", f"127.0.0.1:{self.ports[2 + index]}",
                "--metrics-listen", f"127.0.0.1:{self.ports[4 + index]}",
                "--peer", f"127.0.0.1:{peer}", *of_events, *self.flags(service)])
        for index, process in enumerate(self.processes):
            await_port(process, self.ports[index])
            self.await_serving(process, index)

    def await_serving(self, process, index):
        deadline = time.monotonic() + 60
        while metrics(self.ports[4 + index]).get("crosskey_ready") != 1:
            process.must_run()
            if time.monotonic() > deadline:
                raise Failure(f"{process.name} does not serve: {process.log_end()}")
            time.sleep(0.1)

    def addresses(self):
        return [f"--users=127.0.0.1:{self.ports[0]}", f"--posts=127.0.0.1:{self.ports[1]}"]

    def settle(self):
        """The events of what was written have been consumed: no position has moved for a while."""
        deadline = time.monotonic() + 180
        before, since = None, time.monotonic()
        while True:
            now = [value for port in self.ports[4:] for name, value in sorted(metrics(port).items())
                   if name.startswith("crosskey_consumer_sequence")]
            if len(now) != 2:
                raise Failure(f"{self.name}: no metric crosskey_consumer_sequence")
            if now != before:
                before, since = now, time.monotonic()
            elif time.monotonic() - since > 0.4:
                return
            if time.monotonic() > deadline:
                raise Failure(f"{self.name}: the events are not consumed")
            time.sleep(0.1)

    def log(self, name):
        return os.path.join(self.folder, name + ".log")

    def check_command(self):
        """Of post-service, with the flags with which it serves."""
        return [self.binary("post-service"), "check", "--db", self.db("post-service"),
                "--peer", f"127.0.0.1:{self.ports[2]}"]

    def consumed(self):
        """The position of user-service in the feed of post-service."""
        return next(value for name, value in metrics(self.ports[4]).items()
                    if name.startswith("crosskey_consumer_sequence"))

    def published(self):
        """How far post-service has published its feed to --events."""
        return metrics(self.ports[5]).get("crosskey_events_published_sequence", 0)

    def number(self, service, sql):
        """What a statement says while the services run."""
        if self.uses_mariadb():
            return int(self.settings.mariadb.execute(f"USE {self.names[service]};\n{sql};"))
        connection = sqlite3.connect(self.file(service), timeout=10)
        try:
            return connection.execute(sql).fetchone()[0]
        finally:
            connection.close()

    def write(self, statements):
        """{service: SQL} in the databases of these services, while none of them runs."""
        self.stop()
        for service, sql in statements.items():
            if self.uses_mariadb():
                self.settings.mariadb.execute(f"USE {self.names[service]};\n{sql}")
            else:
                connection = sqlite3.connect(self.file(service))
                connection.executescript(sql)
                connection.close()
        self.serve()


# The bearer token of a secured system's client.
TOKEN = "0123456789abcdef0123456789abcdef"


def make_certificates(folder, names):
    """NAME.crt and NAME.key for each of {name: its alternative name}, and ca.crt, which vouches for all of them."""
    def path(name):
        return os.path.join(folder, name)
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    run(["openssl", "req", "-x509", *new_key, "-subj", "/CN=benchmark", "-keyout", path("ca.key"),
         "-out", path("ca.crt")])
    for name, alternative in names.items():
        run(["openssl", "req", "-x509", *new_key, "-subj", f"/CN={name}", "-CA", path("ca.crt"),
             "-CAkey", path("ca.key"), "-addext", f"subjectAltName={alternative}",
             "-addext", "basicConstraints=critical,CA:FALSE",
             "-keyout", path(name + ".key"), "-out", path(name + ".crt")])


class Secured(Ours):
    """The same with TLS on every listener, a policy, and a caller that brings a token."""

    def start(self):
        self.make_files()
        super().start()

    def path(self, name):
        return os.path.join(self.folder, name)

    def make_files(self):
        make_certificates(self.folder, {"front": "IP:127.0.0.1"} |
                          {service: f"URI:spiffe://benchmark/{service}" for service in SERVICES})
        with open(self.path("policy.json"), "w", encoding="utf-8") as file:
            json.dump({"name": "benchmark", "allow_rules": [
                {"name": "client", "source": {"principals": ["token:client"]},
                 "request": {"roles": ["reader", "writer", "deleter"]}}]}, file)
        with open(self.path("tokens.json"), "w", encoding="utf-8") as file:
            digest = hashlib.sha256(TOKEN.encode()).hexdigest()
            json.dump({"tokens": [{"name": "client", "sha256": digest}]}, file)

    def flags(self, service):
        peer = SERVICES[1 - SERVICES.index(service)]
        return ["--tls-cert", self.path("front.crt"), "--tls-key", self.path("front.key"),
                "--internal-tls-cert", self.path(service + ".crt"), "--internal-tls-key", self.path(service + ".key"),
                "--internal-tls-ca", self.path("ca.crt"), "--peer-identity", f"spiffe://benchmark/{peer}",
                "--policy", self.path("policy.json"), "--tokens", self.path("tokens.json")]

    def addresses(self):
        return [*super().addresses(), f"--ca={self.path('ca.crt')}", f"--token={TOKEN}"]


class Echo(System):
    def start(self):
        self.port = free_port()
        process = self.start_process("echo", [self.program("echo"), f"127.0.0.1:{self.port}", *self.files()])
        await_port(process, self.port)
        write_population(self)

    def files(self):
        """Certificates and key."""
        return []

    def uses_mariadb(self):
        return False

    def addresses(self):
        return [f"--posts=127.0.0.1:{self.port}"]


class SecuredEcho(Echo):
    """The same by TLS. Its client brings a token, which nobody looks at."""

    def files(self):
        make_certificates(self.folder, {"front": "IP:127.0.0.1"})
        return [os.path.join(self.folder, name) for name in ("front.crt", "front.key")]

    def addresses(self):
        return [*super().addresses(), f"--ca={os.path.join(self.folder, 'ca.crt')}", f"--token={TOKEN}"]


class Raw(System):
    """The same statements on the same tables, without a service."""

    METHODS = {"GetPost": "get-post", "CreatePost": "create-post"}

    def start(self):
        mariadb = self.settings.mariadb
        mariadb.execute("CREATE DATABASE raw_posts CHARACTER SET utf8mb4;")
        run([os.path.join(self.settings.build, "post-service", "post-service"), "migrate", "--db",
             mariadb.url("raw_posts")])
        mariadb.execute("USE raw_posts;\n"
                        "INSERT INTO user_refs (id, uid, state) SELECT seq, UUID(), 1 FROM seq_1_to_1300;\n"
                        + insert_posts("seq", "(seq - 1) DIV 50 + 1", "seq_1_to_10000", "UUID()"))

    def command(self, command, *flags):
        mariadb = self.settings.mariadb
        return run_json([self.program("raw"), command, f"--port={mariadb.port}", f"--user={mariadb.user}",
                         "--database=raw_posts", *flags], 600)

    def load(self, groups, seconds, seed):
        method, clients = groups[0].split("=")[1].split(":")
        return self.command(self.METHODS[method], f"--sessions={clients}", f"--seconds={seconds}",
                            f"--warm-up={self.settings.warm_up}", f"--seed={seed}", *self.watched())


class GoPair(System):
    def start(self):
        mariadb = self.settings.mariadb
        with open(os.path.join(HERE, "go", "schema.sql"), encoding="utf-8") as file:
            mariadb.execute(file.read())
        self.ports = [free_port(), free_port()]
        dsn = f"{mariadb.user}@tcp(127.0.0.1:{mariadb.port})/"
        users, posts = (f"127.0.0.1:{port}" for port in self.ports)
        self.start_process("go-users", [os.path.join(self.settings.go, "users"), users, dsn + "go_users"])
        self.start_process("go-posts", [os.path.join(self.settings.go, "posts"), posts, dsn + "go_posts", users])
        for process, port in zip(self.processes, self.ports):
            await_port(process, port)
        write_population(self)

    def addresses(self):
        return [f"--users=127.0.0.1:{self.ports[0]}", f"--posts=127.0.0.1:{self.ports[1]}"]


class Lesson(System):
    def start(self):
        mariadb = self.settings.mariadb
        with open(os.path.join(HERE, "lesson", "schema.sql"), encoding="utf-8") as file:
            mariadb.execute(file.read())
        self.port = free_port()
        # Threads, because without them gunicorn closes the connection after each answer.
        process = self.start_process(
            "gunicorn", [os.path.join(self.settings.lesson, "bin", "gunicorn"), "--workers=3", "--threads=6",
                         f"--chdir={os.path.join(HERE, 'lesson')}", f"--bind=127.0.0.1:{self.port}", "app:app"],
            {"BENCHMARK_DATABASE": f"mysql+pymysql://{mariadb.user}@127.0.0.1:{mariadb.port}/lesson?charset=utf8mb4",
             "PYTHONDONTWRITEBYTECODE": "1"})
        await_port(process, self.port)
        write_population(self)
        # All workers are there once this has been answered.
        self.load(["main=GetPost:16"], 0.5, 0)

    def addresses(self):
        return [f"--http=127.0.0.1:{self.port}"]


def write_population(system):
    with open(system.population(), "w", encoding="utf-8") as file:
        json.dump(FILLED, file)


def insert_posts(number, user, source, uuid):
    """SQL that inserts posts like those of the client into the table of post-service."""
    return ("INSERT INTO posts (uid, user_id, title, content, content_bytes, version, create_time, update_time) "
            f"SELECT {uuid}, {user}, 'A title of some length', '{'c' * 200}', 200, 1, 1764000000000000, "
            f"1764000000000000 FROM {source} ORDER BY {number};\n")
