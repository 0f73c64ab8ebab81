"""Whether an output is what a README shows.

A line `...` in what is shown stands for anything: for any number of lines, of members of a JSON object or of elements
of a list. A UUID and a time stand for any other one, the same for the same, all through one README. Everything else is
exact; only the layout of JSON and the order of its members do not matter.
"""

import difflib
import json
import re

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"
PLACEHOLDER = re.compile(f"({UUID}|{TIME})")
GAP = "..."


class Mismatch(Exception):
    pass


class Gap:
    """Anything, in what is shown as JSON."""


ANYTHING = Gap()


class Known:
    """What the placeholders of one README have stood for so far."""

    def __init__(self):
        self.actual_of = {}
        self.shown_of = {}

    def bind(self, pairs):
        actual_of, shown_of = dict(self.actual_of), dict(self.shown_of)
        for shown, actual in pairs:
            if actual_of.setdefault(shown, actual) != actual:
                raise Mismatch(f"{shown} stands for {actual_of[shown]} and here for {actual}")
            # Two events may well have one time; two things never have one uid.
            if re.fullmatch(UUID, shown) and shown_of.setdefault(actual, shown) != shown:
                raise Mismatch(f"{actual} is shown as {shown_of[actual]} and here as {shown}")
        self.actual_of, self.shown_of = actual_of, shown_of


def placeholders(shown, actual):
    """The pairs of placeholders of two texts that are otherwise the same."""
    ours, theirs = PLACEHOLDER.split(shown), PLACEHOLDER.split(actual)
    kinds = [bool(re.fullmatch(UUID, text)) for text in ours[1::2]]
    if ours[::2] != theirs[::2] or kinds != [bool(re.fullmatch(UUID, text)) for text in theirs[1::2]]:
        raise Mismatch(f"shown: {shown}\nis:    {actual}")
    return list(zip(ours[1::2], theirs[1::2]))


# JSON

TOKEN = re.compile(r'\s*(\.\.\.|[{}\[\]:,]|"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null)')


def parse(text):
    """A JSON value that may have `...` for members and elements. ValueError if it is none."""
    tokens = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"no JSON at {text[position:position + 20]!r}")
        tokens.append(match[1])
        position = match.end()
    tokens.append("")
    value = take_value(tokens)
    if tokens != [""]:
        raise ValueError("more than one value")
    return value


def take_value(tokens):
    token = tokens.pop(0)
    if token in ("{", "["):
        end = "}" if token == "{" else "]"
        items = []
        while tokens[0] != end:
            if tokens[0] == GAP:
                tokens.pop(0)
                items.append(ANYTHING)
            elif token == "{":
                name = json.loads(tokens.pop(0))
                if tokens.pop(0) != ":":
                    raise ValueError("no colon")
                items.append((name, take_value(tokens)))
            else:
                items.append(take_value(tokens))
            # Beside a gap a comma may be there or not.
            if tokens[0] == ",":
                tokens.pop(0)
            elif tokens[0] != end and GAP not in (tokens[0],) and items[-1] is not ANYTHING:
                raise ValueError("no comma")
        tokens.pop(0)
        if token == "[":
            return items
        members = dict(item for item in items if item is not ANYTHING)
        if ANYTHING in items:
            members[GAP] = ANYTHING
        return members
    return json.loads(token)


def match_json(shown, actual, path="the answer"):
    """The pairs of placeholders."""
    if isinstance(shown, dict) and isinstance(actual, dict):
        pairs = []
        names = [name for name in shown if name != GAP]
        for name in names:
            if name not in actual:
                raise Mismatch(f"{path} has no {name}")
            pairs += match_json(shown[name], actual[name], f"{path}.{name}")
        more = sorted(set(actual) - set(names))
        if more and GAP not in shown:
            raise Mismatch(f"{path} has {', '.join(more)} too")
        return pairs
    if isinstance(shown, list) and isinstance(actual, list):
        if ANYTHING not in shown and len(shown) != len(actual):
            raise Mismatch(f"{path} has {len(actual)} elements, not {len(shown)}")
        return match_lists(shown, actual, path)
    if isinstance(shown, str) and isinstance(actual, str):
        try:
            return placeholders(shown, actual)
        except Mismatch:
            raise Mismatch(f"{path} is {json.dumps(actual)}, not {json.dumps(shown)}") from None
    if type(shown) is not type(actual) or shown != actual:
        raise Mismatch(f"{path} is {json.dumps(actual)}, not {json.dumps(shown, default=lambda _: GAP)}")
    return []


def match_lists(shown, actual, path):
    if not shown and not actual:
        return []
    if not shown:
        raise Mismatch(f"{path} has more elements")
    if shown[0] is ANYTHING:
        error = None
        for skipped in range(len(actual) + 1):
            try:
                return match_lists(shown[1:], actual[skipped:], path)
            except Mismatch as mismatch:
                error = error or mismatch
        raise error
    if not actual:
        raise Mismatch(f"{path} has fewer elements")
    return match_json(shown[0], actual[0], f"{path}[]") + match_lists(shown[1:], actual[1:], path)


# Text


def match_lines(shown, actual):
    """The pairs of placeholders. With gaps, the first way in which it fits."""
    # fits[i][j]: shown[i:] fits actual[j:].
    fits = [[False] * (len(actual) + 1) for _ in range(len(shown) + 1)]
    fits[len(shown)][len(actual)] = True
    pairs = {}
    for i in range(len(shown) - 1, -1, -1):
        for j in range(len(actual), -1, -1):
            if shown[i].strip() == GAP:
                fits[i][j] = fits[i + 1][j] or (j < len(actual) and fits[i][j + 1])
            elif j < len(actual) and fits[i + 1][j + 1]:
                try:
                    pairs[i, j] = placeholders(shown[i].rstrip(), actual[j].rstrip())
                    fits[i][j] = True
                except Mismatch:
                    pass
    if not fits[0][0]:
        raise Mismatch(first_difference(shown, actual))
    found = []
    i = j = 0
    while i < len(shown):
        if shown[i].strip() == GAP:
            if fits[i + 1][j]:
                i += 1
            else:
                j += 1
        else:
            found += pairs[i, j]
            i, j = i + 1, j + 1
    return found


def first_difference(shown, actual):
    """How far it fits from the beginning, for people."""
    reached = {0}  # the numbers of actual lines that what is shown so far may stand for
    for number, line in enumerate(shown):
        if line.strip() == GAP:
            reached = set(range(min(reached), len(actual) + 1))
            continue
        following = set()
        for position in sorted(reached):
            if position < len(actual):
                try:
                    placeholders(line.rstrip(), actual[position].rstrip())
                    following.add(position + 1)
                except Mismatch:
                    pass
        if not following:
            after = f" after {shown[number - 1]!r}" if number else ""
            if len(reached) > 1:
                near = difflib.get_close_matches(line, actual[min(reached):], 1, 0.3)
                nearest = "".join(f"\nthe nearest is: {one!r}" for one in near)
                return f"no line{after} is as it is shown: {line!r}{nearest}"
            position = min(reached)
            return f"shown{after}: {line!r}\nis:    {actual[position] if position < len(actual) else ''!r}"
        reached = following
    return "there are more lines than are shown: " + repr(actual[min(reached)])


def compare(shown, actual, known):
    """Empty if the output is as it is shown, or else what is different, for people. Binds the placeholders if it is."""
    try:
        pairs = None
        try:
            pairs = match_json(parse(shown), json.loads(actual))
        except ValueError:  # not JSON, on either side
            pairs = match_lines(shown.splitlines(), actual.splitlines())
        known.bind(pairs)
        return ""
    except Mismatch as mismatch:
        if len(actual) > 3000 or GAP in shown.splitlines()[-1:]:  # the rest of a log or of a tour helps nobody
            return str(mismatch)
        lines = difflib.unified_diff(shown.splitlines(), actual.splitlines(), "shown", "is", lineterm="", n=2)
        return "\n".join([str(mismatch)] + list(lines))
