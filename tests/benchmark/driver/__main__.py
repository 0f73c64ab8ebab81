"""Measures Crosskey beside its limits and its peers: the half of tests/benchmark/run that is not a script.

Starts all systems, measures each work on each of them in turn, for several rounds, and writes results.json, table.md
and picture.svg. Exit code 1 if a call has failed: speed is reported, and never a failure.
"""

import argparse
import datetime
import json
import os
import platform
import signal
import subprocess
import sys
import time

import growth
import picture
import report
import scenarios
import works
from processes import Failure, Mariadb, run
from ratios import of
from systems import Echo, GoPair, Lesson, Ours, Raw, Secured, SecuredEcho

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def parse():
    parser = argparse.ArgumentParser(prog="tests/benchmark/run", description=__doc__.split("\n\n")[1])
    parser.add_argument("--seconds", type=float, default=2, help="time of one measurement (2)")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured (3)")
    parser.add_argument("--only", default="", help="these works: " + ",".join(works.NAMES))
    parser.add_argument("--clients", default="", help="only these numbers of clients: 1,16,64")
    parser.add_argument("--systems", default="", help="only these: mariadb,sqlite,echo,...")
    parser.add_argument("--many", type=int, default=100_000, help="posts of the user that is deleted (100000)")
    parser.add_argument("--references", type=int, default=1_000_000, help="how many Check looks at (1000000)")
    parser.add_argument("--growth", action="store_true", help="measures how the rates depend on the rows there are")
    parser.add_argument("--growth-posts", type=int, default=1_000_000, help="that many (1000000)")
    parser.add_argument("--output", help="folder for what is written (benchmark/ in the build folder)")
    for name in ("build", "temp", "go", "lesson"):
        parser.add_argument(f"--{name}", required=name in ("build", "temp"), help=argparse.SUPPRESS)
    settings = parser.parse_args()
    settings.only = [name for name in settings.only.split(",") if name]
    settings.clients = [int(clients) for clients in settings.clients.split(",") if clients]
    settings.systems = [name for name in settings.systems.split(",") if name]
    unknown = set(settings.only) - set(works.NAMES)
    if unknown:
        parser.error(f"no such work: {', '.join(sorted(unknown))}")
    if not 0 < settings.seconds <= 600 or not 0 < settings.rounds <= 9 or not 1000 <= settings.many <= 1_000_000:
        parser.error("0 to 600 seconds, 1 to 9 rounds, 1,000 to 1,000,000 posts")
    if not 1000 <= settings.references <= 10_000_000:
        parser.error("1,000 to 10,000,000 references")
    settings.warm_up = min(0.5, settings.seconds / 4)
    settings.small_deletions = 20 if settings.seconds >= 1 else 5
    settings.output = settings.output or os.path.join(settings.build, "benchmark")
    settings.baseline = os.environ.get("CROSSKEY_BENCHMARK_BASELINE")
    if settings.baseline and not os.path.exists(os.path.join(settings.baseline, "post-service", "post-service")):
        parser.error(f"CROSSKEY_BENCHMARK_BASELINE is no build folder with both services: {settings.baseline}")
    return settings


def candidates(settings):
    """(name, function that makes the system) of all that can be had."""
    found = [("mariadb", lambda: Ours("mariadb", settings, settings.build, "mariadb")),
             ("sqlite", lambda: Ours("sqlite", settings, settings.build, "sqlite"))]
    for database in ("mariadb", "sqlite"):
        name = f"secured {database}"
        found.append((name, lambda name=name, database=database: Secured(name, settings, settings.build, database)))
    if settings.baseline:
        for database in ("mariadb", "sqlite"):
            name = f"baseline {database}"
            found.append((name, lambda name=name, database=database: Ours(name, settings, settings.baseline, database)))
    found += [("echo", lambda: Echo("echo", settings)), ("secured echo", lambda: SecuredEcho("secured echo", settings)),
              ("statements in C", lambda: Raw("statements in C", settings))]
    if settings.go:
        found.append(("Go pair", lambda: GoPair("Go pair", settings)))
    if settings.lesson:
        found.append(("lesson's app", lambda: Lesson("lesson's app", settings)))
    return [(name, make) for name, make in found if not settings.systems or name in settings.systems]


def plan(settings, names):
    """[(work, name of a system)] of a round: the systems of a work follow each other."""
    steps = []
    for work in works.LOADS + works.SCENARIOS + works.ON_REQUEST:
        is_load = isinstance(work, works.Load)
        if work in works.ON_REQUEST and not settings.only:
            continue
        if settings.only and (work.method if is_load else work.name) not in settings.only:
            continue
        if settings.clients and is_load and work.clients not in settings.clients:
            continue
        steps += [(work, name) for name in work.systems if name in names]
    return steps


def measure(work, system, settings, seed):
    """{work: values}"""
    if isinstance(work, works.Scenario):
        return scenarios.RUN[work.name](system, settings, seed)
    result = system.load([f"main={work.method}:{work.clients}"], settings.seconds, seed)
    if not work.method.startswith(("Get", "List")):
        system.settle()
    return {of(work.method, work.clients): dict(result["groups"]["main"], processes=result["processes"],
                                                others_share=result.get("others_share"))}


def show(record):
    line = f"round {record['round']}  {record['work']:<34} {record['system']:<17}"
    for field, unit in (("per_second", "/s"), ("p50_ms", " ms p50"), ("p99_ms", " ms p99"), ("delete_ms", " ms"),
                        ("rows_per_second", " rows/s"), ("events_per_second", " events/s")):
        if record.get(field) is not None:
            line += f" {report.number(record[field])}{unit}"
    if record.get("errors"):
        line += f"  {record['errors']} FAILED: {record['first_error']}"
    print(line, flush=True)


def run_rounds(settings, systems, steps):
    records = []
    for number in range(1, settings.rounds + 1):
        # Backwards in every other round, so that nothing always comes after the same.
        for work, name in steps if number % 2 else list(reversed(steps)):
            for title, values in measure(work, systems[name], settings, number).items():
                records.append(dict(values, round=number, work=title, system=name))
                show(records[-1])
    return records


def sync_ms(folder):
    """How long it takes until 4 KiB are on the disk: it limits every write that is measured."""
    path = os.path.join(folder, "sync")
    times = []
    with open(path, "wb", buffering=0) as file:
        for _ in range(50):
            begin = time.monotonic()
            os.pwrite(file.fileno(), b"\0" * 4096, 0)  # overwritten, as the log of a database is
            os.fdatasync(file.fileno())
            times.append(time.monotonic() - begin)
    os.remove(path)
    return sorted(times)[len(times) // 2] * 1000


def machine(settings):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    with open("/proc/meminfo", encoding="utf-8") as file:
        kib = int(file.readline().split()[1])
    return {"cores": os.cpu_count(), "processor": models[0] if models else platform.machine(),
            "memory_gib": round(kib / 2**20), "system": f"{platform.system()} {platform.release()}",
            "mariadb": "MariaDB " + settings.mariadb.execute("SELECT VERSION();").strip(),
            "sync_ms": sync_ms(settings.temp)}


def commit():
    git = ["git", "-c", f"safe.directory={ROOT}", "-C", ROOT, "describe", "--always", "--dirty"]
    found = subprocess.run(git, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout.decode().strip()
    return f"commit {found}" if found else "a tree without git"


def warnings_of(settings, records, load_before):
    found = []
    with open(os.path.join(settings.build, "CMakeCache.txt"), encoding="utf-8") as file:
        if "CMAKE_BUILD_TYPE:STRING=Release\n" not in file.read():
            found.append("This is no release build.")
    if load_before > 0.5:
        found.append(f"The machine was not quiet: its load was {load_before:.1f} before.")
    shares = [record["others_share"] for record in records if record.get("others_share") is not None]
    busy = [share for share in shares if share > 0.05]
    if busy:
        found.append(f"In {len(busy)} of {len(shares)} measurements other processes took more than 5 % of the "
                     f"processors, at most {max(busy):.0%}.")
    return found


def write(results, folder):
    os.makedirs(folder, exist_ok=True)
    files = {"results.json": json.dumps(results, indent=1) + "\n", "table.md": report.text(results),
             "picture.svg": picture.picture(results)}
    for name, content in files.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(content)


def main():
    settings = parse()
    # So that what has been started ends too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    load_before = os.getloadavg()[0]
    settings.mariadb = Mariadb(os.environ["CROSSKEY_TEST_MARIADB"], int(os.environ["CROSSKEY_BENCHMARK_MARIADB_PID"]))
    made = candidates(settings)
    steps = plan(settings, [name for name, _ in made])
    systems = {}
    growing = []
    try:
        for name, make in made:
            if any(name == used for _, used in steps):
                systems[name] = make()
                systems[name].start()
                print(f"started {name}", flush=True)
        records = run_rounds(settings, systems, steps)
        if settings.growth:
            for system in systems.values():
                system.stop()
            growing = growth.start(settings)
            records += growth.run_rounds(settings, growing, show)
    except Failure as failure:
        print(f"FAILED: {failure}", flush=True)
        sys.exit(1)
    finally:
        for system in list(systems.values()) + growing:
            system.stop()
    results = {"date": datetime.date.today().isoformat(), "commit": commit(), "machine": machine(settings),
               "rounds": settings.rounds, "seconds": settings.seconds, "many": settings.many, "records": records,
               "warnings": warnings_of(settings, records, load_before)}
    write(results, settings.output)
    print("\n" + "\n".join(report.ratio_lines(records) + results["warnings"]))
    print(f"Written: {settings.output}/results.json, table.md, picture.svg")
    failed = [record for record in records if record.get("errors") or record.get("calls") == 0]
    for record in failed:
        print(f"FAILED: {record['work']} on {record['system']}: {record.get('first_error', 'no call was answered')}")
    sys.exit(1 if failed or not records else 0)


main()
