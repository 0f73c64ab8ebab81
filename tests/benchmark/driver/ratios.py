"""The ratios that say how good a figure is: two works of one run, measured in turn."""

from collections import namedtuple
from statistics import median

# above, below: (work, system, field) whose quotient it is. at_least, aim: what is wanted, at most where less is better;
# None where nothing is wanted yet.
Ratio = namedtuple("Ratio", "name above below less_is_better at_least aim")

RATE, ROWS, P50, P99 = "per_second", "rows_per_second", "p50_ms", "p99_ms"


def rates(name, above, below, at_least=None, aim=None):
    """above, below: (work, system)."""
    return Ratio(name, above + (RATE,), below + (RATE,), False, at_least, aim)


def of(method, clients=16):
    return f"{method}, {clients} client{'s' if clients > 1 else ''}"


RATIOS = [
    rates("GetPost, MariaDB / echo", (of("GetPost"), "mariadb"), (of("GetPost"), "echo"), 0.5, 0.6),
    rates("GetPost, SQLite / echo", (of("GetPost"), "sqlite"), (of("GetPost"), "echo"), 0.6, 0.75),
    rates("GetPost, MariaDB, TLS and policy / without", (of("GetPost"), "secured mariadb"), (of("GetPost"), "mariadb"),
          0.85, 0.95),
    rates("GetPost, SQLite, TLS and policy / without", (of("GetPost"), "secured sqlite"), (of("GetPost"), "sqlite"),
          0.85, 0.95),
    rates("echo, TLS / without", (of("GetPost"), "secured echo"), (of("GetPost"), "echo")),
    rates("GetPost, MariaDB / Go pair", (of("GetPost"), "mariadb"), (of("GetPost"), "Go pair"), 1.3, 1.6),
    rates("GetPost with user, MariaDB / Go pair", (of("GetPostWithUser"), "mariadb"),
          (of("GetPostWithUser"), "Go pair"), 1.3, 1.6),
    rates("ListPosts, MariaDB / Go pair", (of("ListPosts"), "mariadb"), (of("ListPosts"), "Go pair"), 1.3, 1.6),
    rates("CreatePost, MariaDB / statements in C", (of("CreatePost"), "mariadb"),
          (of("CreatePost"), "statements in C"), 0.8, 1.2),
    rates("CreatePost, MariaDB / Go pair", (of("CreatePost"), "mariadb"), (of("CreatePost"), "Go pair"), 2.5, 3.5),
    rates("CreatePost, SQLite / baseline's", (of("CreatePost"), "sqlite"), (of("CreatePost"), "baseline sqlite"), 4, 6),
    rates("LikePost / CreatePost, MariaDB", (of("LikePost"), "mariadb"), (of("CreatePost"), "mariadb"), 0.8, 1),
    Ratio("GetPost, one client, p50: MariaDB / Go pair", (of("GetPost", 1), "mariadb", P50),
          (of("GetPost", 1), "Go pair", P50), True, 1.1, 0.9),
    Ratio("CreatePost, one client, p50: MariaDB / Go pair", (of("CreatePost", 1), "mariadb", P50),
          (of("CreatePost", 1), "Go pair", P50), True, 1.0, 0.7),
    rates("GetPost, MariaDB / lesson's app", (of("GetPost"), "mariadb"), (of("GetPost"), "lesson's app"), 5, 7),
    rates("CreatePost, MariaDB / lesson's app", (of("CreatePost"), "mariadb"), (of("CreatePost"), "lesson's app"),
          7, 10),
    Ratio("removal of many posts, MariaDB / ON DELETE CASCADE", ("DeleteUser, many posts", "mariadb", ROWS),
          ("ON DELETE CASCADE", "statements in C", ROWS), False, 0.3, 0.5),
] + [Ratio(f"{method} of others, p99: during a reclaim / before, {title}", (f"{method}, during a reclaim", system, P99),
           (f"{method}, before a reclaim", system, P99), True, 2, 1.2)
     for system, title in (("mariadb", "MariaDB"), ("sqlite", "SQLite")) for method in ("GetPost", "CreatePost")
] + [Ratio(f"{method} of others, p99: check / before, {title}", (f"{method}, during a check", system, P99),
           (f"{method}, before a check", system, P99), True, 1.5, 1.2)
     for system, title in (("mariadb", "MariaDB"), ("sqlite", "SQLite")) for method in ("GetPost", "CreatePost")
] + [Ratio(f"DeleteUser, many posts / 1 post, {title}", ("DeleteUser, many posts", system, "delete_ms"),
           ("DeleteUser, 1 post", system, "delete_ms"), True, 1.2, 1)
     for system, title in (("mariadb", "MariaDB"), ("sqlite", "SQLite"))
] + [Ratio(f"CreatePost, p99: {who} with a hot user / even, {title}",
           (f"CreatePost, one hot user: {group}", system, P99),
           (f"CreatePost, even: {group}", system, P99), True, 3, None)
     for system, title in (("mariadb", "MariaDB"), ("sqlite", "SQLite"))
     for who, group in (("its 64 writers", "64 clients"), ("others", "16 others"))]


def measured(ratio, records):
    """The quotients of the rounds that have both."""
    values = []
    for number in sorted({record["round"] for record in records}):
        found = [[record[field] for record in records if record["round"] == number and record["work"] == work
                  and record["system"] == system and record.get(field)] for work, system, field in ratio[1:3]]
        if all(found):
            values.append(median(found[0]) / median(found[1]))
    return values


def verdict(ratio, value):
    """Whether a median is what is wanted."""
    def reached(wanted):
        return value <= wanted if ratio.less_is_better else value >= wanted
    if ratio.at_least is not None and not reached(ratio.at_least):
        return "missed"
    if ratio.aim is not None:
        return "aim reached" if reached(ratio.aim) else "enough"
    return "enough" if ratio.at_least is not None else ""
