"""The dashboard as Grafana reads it: its panels, their queries, and what is wrong with its structure."""

import json
import re

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def panels(dashboard):
    """The panels in their order, without the rows."""
    inside = [panel for row in dashboard["panels"] for panel in row.get("panels", [])]
    return [panel for panel in dashboard["panels"] + inside if panel["type"] != "row"]


def queries(dashboard):
    """{where: expression}, the annotations included."""
    found = {f"panel {panel['title']}, {target['refId']}": target["expr"]
             for panel in panels(dashboard) for target in panel.get("targets", [])}
    found.update({f"annotation {one['name']}": one["expr"]
                  for one in dashboard["annotations"]["list"] if "expr" in one})
    return found


def variables(dashboard):
    return {variable["name"]: variable for variable in dashboard["templating"]["list"]}


def filled(expression, job=".+", rate_interval="1m", whole_range="5m"):
    """The expression as Grafana would send it."""
    return expression.replace("$__rate_interval", rate_interval).replace("$__range", whole_range).replace("$job", job)


def overlap(one, other):
    return (one["x"] < other["x"] + other["w"] and other["x"] < one["x"] + one["w"] and
            one["y"] < other["y"] + other["h"] and other["y"] < one["y"] + one["h"])


def problems_of_panel(panel, known):
    wrong = []
    if not panel.get("description", "").endswith("."):
        wrong.append("has no description")
    if not panel.get("fieldConfig", {}).get("defaults", {}).get("unit"):
        wrong.append("has no unit")
    if panel["type"] == "timeseries" and not panel["options"]["legend"]["showLegend"]:
        wrong.append("shows no legend")
    if panel.get("datasource") != DATASOURCE:
        wrong.append("does not use the variable datasource")
    targets = panel.get("targets", [])
    if not targets:
        wrong.append("has no query")
    if len({target["refId"] for target in targets}) != len(targets):
        wrong.append("has a refId twice")
    for target in targets:
        if target.get("datasource") != DATASOURCE:
            wrong.append("a query does not use the variable datasource")
        if not target.get("legendFormat"):
            wrong.append("a query has no legend")
        used = set(re.findall(r"\$\{?(\w+)", target["expr"])) - {"__rate_interval", "__interval", "__range"}
        wrong += [f"there is no variable {name}" for name in sorted(used - known)]
        if re.search(r"\[\d+[sm]\]", target["expr"]):
            wrong.append("a range of its own: it has to be $__rate_interval")
        # A label in the legend that the query does not keep shows as nothing.
        kept = set(re.findall(r"\w+", " ".join(re.findall(r"\bby \(([^)]*)\)", target["expr"]))))
        legend = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
        if kept:
            wrong += [f"the legend has {label}, by which the query does not group" for label in sorted(legend - kept)]
    return wrong


def problems(dashboard):
    wrong = []
    every = dashboard["panels"] + [panel for row in dashboard["panels"] for panel in row.get("panels", [])]
    ids = [panel["id"] for panel in every]
    wrong += [f"the id {one} is used twice" for one in sorted({one for one in ids if ids.count(one) > 1})]
    for index, panel in enumerate(every):
        place = panel["gridPos"]
        if place["x"] < 0 or place["w"] <= 0 or place["h"] <= 0 or place["x"] + place["w"] > COLUMNS:
            wrong.append(f"{panel['title']} is outside of the grid")
        wrong += [f"{panel['title']} and {other['title']} overlap" for other in every[index + 1:]
                  if overlap(place, other["gridPos"])]
    known = variables(dashboard)
    if known.get("datasource", {}).get("type") != "datasource" or known["datasource"].get("query") != "prometheus":
        wrong.append("there is no variable datasource for Prometheus")
    for name, variable in known.items():
        if variable["type"] == "query" and variable.get("datasource") != DATASOURCE:
            wrong.append(f"the variable {name} does not use the variable datasource")
    for panel in panels(dashboard):
        wrong += [f"panel {panel['title']}: {problem}" for problem in problems_of_panel(panel, set(known))]
    wrong += [f"no {name}" for name in ("title", "uid", "schemaVersion") if not dashboard.get(name)]
    if dashboard.get("id") is not None:
        wrong.append("an id, which belongs to one Grafana")
    return wrong
