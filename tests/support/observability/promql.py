"""What a PromQL expression asks for: metrics, the labels that it selects them by, and those that it groups by."""

import re
from collections import namedtuple

# matchers: [(label, operator, value)]
Selector = namedtuple("Selector", "metric matchers")

# Prometheus itself makes these.
OWN_METRICS = ("up", "scrape_duration_seconds", "ALERTS")
OWN_LABELS = {"job", "instance"}
# The edge makes these, with the labels that rules may use. tests/edge checks that it does.
EDGE_METRICS = {"haproxy_backend_active_servers": {"proxy"}}

WORDS = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right", "inf",
         "nan"}
GROUPING = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)")
TEXT = r'"(?:\\.|[^"\\])*"'
SELECTOR = re.compile(r"(?<![\w:.$])([a-zA-Z_:][\w:]*)\s*(?:\{((?:" + TEXT + r"|[^{}\"])*)\}|(?!\s*\(|[\w:]))")
MATCHER = re.compile(r"(\w+)\s*(=~|!~|!=|=)\s*(" + TEXT + ")")


def selectors(expression):
    text = GROUPING.sub(" ", expression)
    text = re.sub(r"\[[^\]]*\]", " ", text)
    text = re.sub(r"\boffset\s+-?\w+|@\s*(?:start|end)\s*\(\)", " ", text)
    return [Selector(name, [(label, operator, value[1:-1].replace("\\\\", "\\")) for label, operator, value in
                            MATCHER.findall(inside or "")])
            for name, inside in SELECTOR.findall(text) if name not in WORDS]


def grouping_labels(expression):
    return {label.strip() for _, labels in GROUPING.findall(expression) for label in labels.split(",") if label.strip()}
