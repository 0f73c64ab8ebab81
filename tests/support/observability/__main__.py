#!/usr/bin/env python3
"""Checks dashboard, alerts and the guide to both, for tests/observability. Each command prints what is wrong.

observability self-test                              shows that the checks notice what is wrong
observability structure                              the dashboard's JSON
observability alerts                                 the alerts, their tests and their sections in deploy/README.md
observability configuration USER POST                prints a Prometheus configuration with these addresses of metrics
observability targets URL                            waits until the Prometheus at URL has scraped both services
observability load GRPCURL USER POST                 makes calls to these addresses
observability load-alone GRPCURL USER POST           makes the calls for which post-service has to be away
observability exposed URL USER POST                  checks that these addresses have each metric and label that is used
observability data URL                               checks that this Prometheus has data for each panel
observability rules URL                              checks that this Prometheus can evaluate all rules
"""

import os
import sys
import time

import dashboard
import exposition
import guide
import load
import prometheus
import self_test

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
DASHBOARD = os.path.join(ROOT, "deploy/grafana/dashboards/crosskey.json")
RULES = os.path.join(ROOT, "deploy/prometheus/alerts.yml")
JOBS = ("user-service", "post-service")
PATIENCE = 60


def text_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def alerts():
    tests = text_of("deploy/prometheus/alerts_test.yml") + text_of("deploy/prometheus/alerts_week_test.yml")
    rules = text_of("deploy/prometheus/alerts.yml")
    return (guide.rule_problems(rules) + guide.test_problems(rules, tests) +
            guide.section_problems(rules, text_of("deploy/README.md")))


def until_none(problems):
    """What is wrong in the end. What Prometheus has scraped may be a second old, so it is asked again for a while."""
    deadline = time.monotonic() + PATIENCE
    while True:
        wrong = problems()
        if not wrong or time.monotonic() > deadline:
            return wrong
        time.sleep(0.5)


def exposed(url, *addresses):
    rules = prometheus.Prometheus(url).rules()
    queries = {rule["name"]: rule["query"] for rule in rules}
    queries.update(dashboard.queries(dashboard.load(DASHBOARD)))
    recorded = {rule["name"] for rule in rules if rule["type"] == "recording"}
    codes = exposition.codes_of(text_of("common/rpc/calls.cc"))

    def problems():
        found = {}
        for address in addresses:
            for metric, series in exposition.series(exposition.fetch(f"http://{address}/metrics")).items():
                found.setdefault(metric, []).extend(series)
        return exposition.problems(queries, found, recorded, codes)

    return until_none(problems)


def problem_of_query(server, where, expression):
    try:
        result = server.query(dashboard.filled(expression))
    except ValueError as error:
        return f"{where}: {error}"
    return "" if any(one["value"][1] != "NaN" for one in result) else f"{where}: no data"


def data(url):
    server = prometheus.Prometheus(url)
    queries = dashboard.queries(dashboard.load(DASHBOARD))
    panels = {where: expression for where, expression in queries.items() if where.startswith("panel ")}
    return until_none(lambda: [problem for problem in (problem_of_query(server, *one) for one in panels.items())
                               if problem])


def rules_evaluated(url):
    server = prometheus.Prometheus(url)
    return until_none(lambda: [f"{rule['name']}: {rule['health']} {rule.get('lastError', '')}"
                               for rule in server.rules() if rule["health"] != "ok"])


def calls(make, *arguments):
    try:
        make(load.Services(*arguments))
    except load.Failed as failed:
        return [str(failed)]
    return []


def targets(url):
    problem = prometheus.Prometheus(url).await_targets(JOBS, PATIENCE)
    return [problem] if problem else []


def configuration(*addresses):
    print(prometheus.configuration(RULES, dict(zip(JOBS, addresses))), end="")
    return []


COMMANDS = {
    "self-test": self_test.problems,
    "structure": lambda: dashboard.problems(dashboard.load(DASHBOARD)),
    "alerts": alerts,
    "configuration": configuration,
    "targets": targets,
    "load": lambda *arguments: calls(load.everything, *arguments),
    "load-alone": lambda *arguments: calls(load.without_post_service, *arguments),
    "exposed": exposed,
    "data": data,
    "rules": rules_evaluated,
}


def main():
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    wrong = COMMANDS[sys.argv[1]](*sys.argv[2:])
    for problem in wrong:
        print(problem)
    sys.exit(1 if wrong else 0)


main()
