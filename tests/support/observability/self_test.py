"""What the checks have to notice: a right example that has no problem, and mistakes in it that must give one."""

import copy

import dashboard
import exposition
import guide
import promql

PAGE = """# TYPE calls_total counter
calls_total{method="Get",grpc_code="OK"} 3
waiting{feed="user-service"} 0
seconds_bucket{le="0.25"} 1
"""
CODES = {"OK", "NotFound", "Internal"}
RIGHT = [
    'sum by (method) (rate(calls_total{job=~"$job", grpc_code!="OK"}[5m]))',
    'max by (job, feed) (waiting) > 0 and on (job) up == 1',
    'histogram_quantile(0.99, sum by (le) (rate(seconds_bucket{le="0.25"}[$__rate_interval])))',
    'job:calls:rate5m{job="x"} or 0 * calls_total{method=~"Get|List"} offset 10m',
    'count(ALERTS{alertname=~"X.*"}) or vector(0)',
    'max by (job, proxy) (haproxy_backend_active_servers{proxy="x"}) == 0',
]
WRONG = [
    'haproxy_backend_active_servers{proxi="x"}',
    "max by (proxi) (haproxy_backend_active_servers)",
    "sum(rate(cals_total[5m]))",
    "sum by (methud) (rate(calls_total[5m]))",
    'rate(calls_total{metod="Get"}[5m])',
    'rate(calls_total{method="Git"}[5m])',
    'rate(calls_total{grpc_code="NOT_FOUND"}[5m])',
    'rate(calls_total{grpc_code=~"Internal|Unavaliable"}[5m])',
    "waiting > 0 and waitting > 0",
    'job:calls:rate10m{job="x"}',
    'job:calls:rate5m{method="Get"}',
    'seconds_bucket{le="0.5"}',
    "vector(0)",
]

TARGET = {"datasource": dashboard.DATASOURCE, "expr": 'sum by (job) (x{job=~"$job"})', "legendFormat": "{{job}}",
          "refId": "A"}
PANEL = {"datasource": dashboard.DATASOURCE, "description": "It is.", "fieldConfig": {"defaults": {"unit": "s"}},
         "gridPos": {"h": 7, "w": 12, "x": 0, "y": 1}, "id": 2, "options": {"legend": {"showLegend": True}},
         "targets": [TARGET], "title": "One", "type": "timeseries"}
DASHBOARD = {
    "annotations": {"list": []}, "id": None, "schemaVersion": 39, "title": "T", "uid": "t",
    "panels": [{"gridPos": {"h": 1, "w": 24, "x": 0, "y": 0}, "id": 1, "panels": [], "title": "Row", "type": "row"},
               PANEL, dict(copy.deepcopy(PANEL), id=3, title="Two", gridPos={"h": 7, "w": 12, "x": 12, "y": 1})],
    "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"},
                            {"name": "job", "type": "query", "datasource": dashboard.DATASOURCE}]},
}

RULES = """groups:
  - name: one
    rules:
      - record: job:x:rate5m
        expr: x
      - alert: CrosskeyOne
        expr: x > 1
        labels:
          severity: warning
        annotations:
          summary: It is one
          description: >-
            It has been
            one.
          runbook: deploy/README.md#crosskeyone
"""
TESTS = """
        expr: 'ALERTS{alertname="CrosskeyOne", alertstate="firing"}'
        exp_samples:
          - labels: 'ALERTS{alertname="CrosskeyOne", alertstate="firing"}'
        expr: 'ALERTS{alertname="CrosskeyOne", alertstate="firing"}'
        exp_samples: []
"""
README = """# Operations
### CrosskeyOne
*warning* Look at the log of the service first, and then at the panel that shows what it is about.
## Capacity
"""


def changed(mistake):
    one = copy.deepcopy(DASHBOARD)
    mistake(one)
    return one


DASHBOARD_MISTAKES = {
    "an id twice": lambda d: d["panels"][2].update(id=2),
    "panels that overlap": lambda d: d["panels"][2]["gridPos"].update(x=11),
    "a panel outside of the grid": lambda d: d["panels"][2]["gridPos"].update(w=13),
    "no description": lambda d: d["panels"][1].update(description=""),
    "no unit": lambda d: d["panels"][1]["fieldConfig"]["defaults"].update(unit=""),
    "no legend": lambda d: d["panels"][1]["options"]["legend"].update(showLegend=False),
    "a data source of its own": lambda d: d["panels"][1].update(datasource={"type": "prometheus", "uid": "mine"}),
    "a query with a data source of its own": lambda d: d["panels"][1]["targets"][0].update(datasource={"uid": "mine"}),
    "a query without legend": lambda d: d["panels"][1]["targets"][0].update(legendFormat=""),
    "a legend with a label that is not kept": lambda d: d["panels"][1]["targets"][0].update(legendFormat="{{jub}}"),
    "a variable that there is not":
        lambda d: d["panels"][1]["targets"][0].update(expr='sum by (job) (x{job=~"$jobs"})'),
    "no variable for the data source": lambda d: d["templating"]["list"].pop(0),
    "a number for the id": lambda d: d.update(id=7),
}


def alert_problems(rules, tests, readme):
    return guide.rule_problems(rules) + guide.test_problems(rules, tests) + guide.section_problems(rules, readme)


ALERT_MISTAKES = {
    "no severity": (RULES.replace("severity: warning", "team: one"), TESTS, README),
    "no summary": (RULES.replace("summary:", "title:"), TESTS, README),
    "a folded summary without text": (RULES.replace("summary: It is one", "summary: >-"), TESTS, README),
    "a wrong anchor": (RULES.replace("#crosskeyone", "#crosskey-one"), TESTS, README),
    "no test that fires": (RULES, TESTS.replace("exp_samples:\n", "exp_samples: []\n"), README),
    "no silent test": (RULES, TESTS.replace("exp_samples: []", "exp_samples:"), README),
    "a test of no alert": (RULES, TESTS + TESTS.replace("CrosskeyOne", "CrosskeyTwo"), README),
    "no section": (RULES, TESTS, README.replace("### CrosskeyOne", "### Other")),
    "a section of no alert": (RULES, TESTS, README + "### CrosskeyTwo\n"),
    "an empty section": (RULES, TESTS, "### CrosskeyOne\n*warning* Look.\n"),
    "another severity": (RULES.replace("severity: warning", "severity: critical"), TESTS, README),
}


def problems():
    wrong = []
    exposed = exposition.series(PAGE)

    def of(expression):
        return exposition.problems({"it": expression}, exposed, {"job:calls:rate5m"}, CODES)

    wrong += [f"{one} is refused: {of(one)}" for one in RIGHT if of(one)]
    wrong += [f"{one} is accepted" for one in WRONG if not of(one)]
    if [one.metric for one in promql.selectors("sum(rate(a_total[5m])) / on (job) group_left (x) b:c{d=\"e{f}\"}")] != \
            ["a_total", "b:c"]:
        wrong.append("the metrics of an expression are not found")
    wrong += [f"the right dashboard is refused: {problem}" for problem in dashboard.problems(DASHBOARD)]
    wrong += [f"accepted in a dashboard: {name}" for name, mistake in DASHBOARD_MISTAKES.items()
              if not dashboard.problems(changed(mistake))]
    wrong += [f"the right alert is refused: {problem}" for problem in alert_problems(RULES, TESTS, README)]
    wrong += [f"accepted of an alert: {name}" for name, texts in ALERT_MISTAKES.items() if not alert_problems(*texts)]
    return wrong
