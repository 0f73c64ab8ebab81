"""The results as a table for people."""

from statistics import median

import ratios


TITLES = {"mariadb": "Crosskey, MariaDB", "sqlite": "Crosskey, SQLite", "echo": "gRPC echo",
          "secured echo": "gRPC echo, TLS",
          "secured mariadb": "TLS and policy, MariaDB", "secured sqlite": "TLS and policy, SQLite",
          "baseline mariadb": "baseline, MariaDB", "baseline sqlite": "baseline, SQLite"}


def title(system):
    return TITLES.get(system, system)


def number(value):
    """With as many digits as mean something."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values):
    """The median, and how far the rounds are apart."""
    if not values:
        return "-"
    if len(values) == 1:
        return number(values[0])
    return f"{number(median(values))} ({number(min(values))}..{number(max(values))})"


def groups(records):
    """{(work, system): records of the rounds}, in the order of the first round."""
    found = {}
    for record in sorted(records, key=lambda record: record["round"]):
        found.setdefault((record["work"], record["system"]), []).append(record)
    order = list(dict.fromkeys(work for work, _ in found))
    return dict(sorted(found.items(), key=lambda item: order.index(item[0][0])))


def values(records, field):
    return [record[field] for record in records if record.get(field) is not None]


def usage(records, field, decimals=0):
    """A value for each process: the median of the rounds."""
    names = list(dict.fromkeys(name for record in records for name in record.get("processes", {})))
    parts = []
    for name in names:
        found = [record["processes"][name][field] for record in records
                 if field in record.get("processes", {}).get(name, {})]
        if found:
            parts.append(f"{name} {median(found):.{decimals}f}")
    return ", ".join(parts) or "-"


def ratio_lines(records):
    lines = ["| ratio | measured | at least | aim | |", "|---|---|---|---|---|"]
    for ratio in ratios.RATIOS:
        found = ratios.measured(ratio, records)
        if not found:
            continue
        wanted = [f"{'at most ' if ratio.less_is_better else ''}{value}" if value is not None else "-"
                  for value in (ratio.at_least, ratio.aim)]
        lines.append(f"| {ratio.name} | {spread(found)} | {wanted[0]} | {wanted[1]} | "
                     f"{ratios.verdict(ratio, median(found))} |")
    return lines if len(lines) > 2 else []


def load_lines(records):
    lines = ["| work | system | per second | p50 ms | p99 ms | processor time a call, us |",
             "|---|---|---|---|---|---|"]
    for (work, system), found in groups(records).items():
        if "per_second" in found[0] and "p99_ms" in found[0]:
            lines.append(f"| {work} | {title(system)} | {spread(values(found, 'per_second'))} | "
                         f"{spread(values(found, 'p50_ms'))} | {spread(values(found, 'p99_ms'))} | "
                         f"{usage(found, 'cpu_us_per_call')} |")
    return lines if len(lines) > 2 else []


def deletion_lines(records):
    lines = ["| work | system | the call, ms | rows a second |", "|---|---|---|---|"]
    for (work, system), found in groups(records).items():
        if "rows_per_second" in found[0] or "delete_ms" in found[0]:
            lines.append(f"| {work} | {title(system)} | {spread(values(found, 'delete_ms'))} | "
                         f"{spread(values(found, 'rows_per_second'))} |")
    return lines if len(lines) > 2 else []


def feed_lines(records):
    lines = ["| work | system | events a second |", "|---|---|---|"]
    for (work, system), found in groups(records).items():
        if "events_per_second" in found[0]:
            lines.append(f"| {work} | {title(system)} | {spread(values(found, 'events_per_second'))} |")
    return lines if len(lines) > 2 else []


def process_lines(records):
    """The most that each process has had in the whole run."""
    most = {}
    for record in records:
        for name, process in record.get("processes", {}).items():
            kept = most.setdefault((record["system"], name), {"max_rss_mib": 0, "threads": 0})
            for field, value in kept.items():
                kept[field] = max(value, process[field])
    lines = ["| system | process | most memory, MiB | most threads |", "|---|---|---|---|"]
    lines += [f"| {title(system)} | {name} | {process['max_rss_mib']:.0f} | {process['threads']} |"
              for (system, name), process in most.items() if name not in ("client", "mariadbd")]
    return lines if len(lines) > 2 else []


def text(results):
    machine = results["machine"]
    records = results["records"]
    parts = [
        "# Benchmark",
        f"{results['rounds']} rounds, {results['seconds']} s for each measurement: median (lowest..highest). "
        f"\"Many\" posts are {results['many']:,}. Made {results['date']} from {results['commit']}, on "
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gib']} GiB, {machine['system']}, "
        f"{machine['mariadb']}. A write of 4 KiB is on disk after {machine['sync_ms']:.2f} ms.",
    ]
    parts += [f"**{warning}**" for warning in results["warnings"]]
    for title, lines in (("Ratios", ratio_lines(records)), ("Calls", load_lines(records)),
                         ("Deletions", deletion_lines(records)), ("Events", feed_lines(records)),
                         ("Processes", process_lines(records))):
        if lines:
            parts += [f"## {title}", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"
