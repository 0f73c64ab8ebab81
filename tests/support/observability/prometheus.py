"""A Prometheus of our own: its configuration, and what it is asked."""

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request

SCRAPE_SECONDS = 1


def configuration(rules, targets, seconds=SCRAPE_SECONDS):
    """As deploy/prometheus/prometheus.yml, but of other addresses and more often. `targets`: {job: host:port}"""
    text = f"global: {{scrape_interval: {seconds}s, evaluation_interval: {seconds}s}}\n"
    text += f"rule_files: [{json.dumps(os.path.abspath(rules))}]\nscrape_configs:\n"
    for job, target in targets.items():
        text += f"  - {{job_name: {job}, static_configs: [{{targets: [{json.dumps(target)}]}}]}}\n"
    return text


class Prometheus:
    def __init__(self, url):
        self.url = url
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path, **parameters):
        """The data of the answer; ValueError with what Prometheus says is wrong."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with self.opener.open(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(json.load(error).get("error", str(error))) from error

    def query(self, expression):
        return self.get("query", query=expression)["result"]

    def query_range(self, expression, start, end, step):
        return self.get("query_range", query=expression, start=start, end=end, step=step)["result"]

    def rules(self):
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]

    def await_targets(self, jobs, patience):
        """Empty once all are up, or what is wrong."""
        deadline = time.monotonic() + patience
        while True:
            try:
                found = {one["metric"]["job"]: one["value"][1] for one in self.query("up")}
                problem = "" if all(found.get(job) == "1" for job in jobs) else f"up: {found}"
            except (OSError, ValueError) as error:
                problem = str(error)
            if not problem or time.monotonic() > deadline:
                return problem
            time.sleep(0.2)
