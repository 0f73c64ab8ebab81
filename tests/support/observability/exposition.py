"""What the services expose at /metrics, and whether that is what the dashboard and the rules ask for."""

import re
import urllib.request

import promql

# No load makes every value of this label for certain, so its values are compared with the code instead.
CODES = "grpc_code"
SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="((?:\\.|[^"\\])*)"')


def fetch(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as page:
        return page.read().decode()


def series(page):
    """{metric: [labels]}, each a dictionary; the buckets of a histogram are a metric of their own."""
    found = {}
    for name, labels in SAMPLE.findall(page):
        found.setdefault(name, []).append(dict(LABEL.findall(labels)))
    return found


def codes_of(source):
    """The names of the codes, from calls.cc."""
    return set(re.findall(r'"(\w+)"', re.search(r"kNames\[\] = \{(.*?)\};", source, re.DOTALL)[1]))


def matches(labels, matcher):
    label, operator, value = matcher
    actual = labels.get(label, "")
    equal = re.fullmatch(value, actual) is not None if "~" in operator else actual == value
    return equal != operator.startswith("!")


def unknown_codes(matcher, codes):
    label, operator, value = matcher
    named = value.split("|") if "~" in operator else [value]
    return [code for code in named if code not in codes] if label == CODES else []


def problems_of_selector(selector, exposed, recorded, codes):
    if selector.metric in promql.OWN_METRICS:
        return []
    if selector.metric in promql.EDGE_METRICS:
        known = promql.EDGE_METRICS[selector.metric] | promql.OWN_LABELS
        return [f"{selector.metric} has no label {label}" for label, _, _ in selector.matchers if label not in known]
    if selector.metric in recorded:
        wrong = [label for label, _, _ in selector.matchers if label not in promql.OWN_LABELS]
        return [f"the recorded {selector.metric} has no label {label}" for label in wrong]
    if selector.metric not in exposed:
        return [f"nobody exposes {selector.metric}"]
    labels = set().union(*exposed[selector.metric]) | promql.OWN_LABELS
    wrong = [f"{selector.metric} has no label {label}" for label, _, _ in selector.matchers if label not in labels]
    wrong += [f"{selector.metric}: there is no code {code}" for matcher in selector.matchers
              for code in unknown_codes(matcher, codes)]
    known = [matcher for matcher in selector.matchers
             if matcher[0] not in promql.OWN_LABELS | {CODES} and "$" not in matcher[2]]
    if not wrong and not any(all(matches(one, matcher) for matcher in known) for one in exposed[selector.metric]):
        wrong.append(f"no series of {selector.metric} has " + ", ".join("".join(matcher) for matcher in known))
    return wrong


def problems(queries, exposed, recorded, codes):
    """`queries`: {where: expression}. `recorded`: the names of the recording rules."""
    wrong = []
    for where, expression in queries.items():
        selected = promql.selectors(expression)
        if not selected:
            wrong.append(f"{where}: no metric found in {expression}")
        for selector in selected:
            wrong += [f"{where}: {problem}" for problem in problems_of_selector(selector, exposed, recorded, codes)]
        labels = promql.OWN_LABELS.union(*(labels for selector in selected
                                           for labels in exposed.get(selector.metric, [])),
                                         *(promql.EDGE_METRICS.get(selector.metric, ()) for selector in selected))
        wrong += [f"{where}: groups by {label}, which no metric of it has"
                  for label in sorted(promql.grouping_labels(expression) - labels)]
    return wrong
