"""The alerts: their rules, their unit tests and their sections in deploy/README.md."""

import re

SEVERITIES = ("critical", "warning")


def alerts(rules):
    """{name: text of the rule}"""
    found = {}
    for text in re.split(r"^      - (?=alert: |record: )", rules, flags=re.MULTILINE)[1:]:
        match = re.match(r"alert: (\w+)\n", text)
        if match:
            found[match[1]] = text
    return found


def field(text, name):
    """The value of a field, of a folded one (>-) the first line. Empty if there is none."""
    match = re.search(rf"^( +){name}: (?:>-\n\1 +)?(?!>-$)(.+)$", text, re.MULTILINE)
    return match[2].strip('"') if match else ""


def rule_problems(rules):
    wrong = []
    for name, text in alerts(rules).items():
        if field(text, "severity") not in SEVERITIES:
            wrong.append(f"{name} has no severity")
        wrong += [f"{name} has no {part}" for part in ("summary", "description") if not field(text, part)]
        if field(text, "runbook") != f"deploy/README.md#{name.lower()}":
            wrong.append(f"{name}: its runbook is {field(text, 'runbook') or 'missing'}")
    return wrong


def test_problems(rules, tests):
    """Each alert has to fire in one test, and to keep silent in another."""
    expected = re.findall(r'ALERTS\{alertname="(\w+)", alertstate="firing"\}\'\n +exp_samples:( \[\])?', tests)
    fires = {name for name, none in expected if not none}
    silent = {name for name, none in expected if none}
    known = set(alerts(rules))
    return ([f"no test in which {name} fires" for name in sorted(known - fires)] +
            [f"no test in which {name} keeps silent" for name in sorted(known - silent)] +
            [f"a test of {name}, which there is not" for name in sorted((fires | silent) - known)])


def sections(readme):
    """{heading: text} of the headings that look like the name of an alert."""
    parts = re.split(r"^#+ (.*)$", readme, flags=re.MULTILINE)
    return {heading: text for heading, text in zip(parts[1::2], parts[2::2]) if re.fullmatch(r"Crosskey\w+", heading)}


def section_problems(rules, readme):
    known = alerts(rules)
    told = sections(readme)
    wrong = [f"deploy/README.md has no section {name}" for name in known if name not in told]
    wrong += [f"deploy/README.md has a section {name}, and there is no such alert"
              for name in told if name not in known]
    for name in set(known) & set(told):
        if len(told[name].split()) < 15:
            wrong.append(f"the section {name} does not say what to do")
        severity = field(known[name], "severity")
        if not told[name].strip().startswith(f"*{severity}*"):
            wrong.append(f"the section {name} does not begin with the severity *{severity}*")
    return wrong
