"""The READMEs as texts: links, anchors, readers, tests, repetitions. A function returns what is wrong, a line each."""

import glob
import os
import posixpath
import re

README_LINES = 250  # of the first README: a newcomer has to get through it
READERS = ("newcomers", "clients", "operators", "whoever changes")
SENTENCE_WORDS = 8  # a shorter sentence may stand in two READMEs: it says little


def without_code(text):
    """Fenced and indented blocks become empty lines, so that the numbers of the others stay."""
    lines = []
    fenced = False
    for line in text.splitlines():
        is_fence = line.startswith("```")
        lines.append("" if fenced or is_fence or line.startswith("    ") else line)
        fenced ^= is_fence
    return "\n".join(lines)


def anchors(text):
    """Those that GitHub gives to the headings."""
    found = []
    for heading in re.findall(r"^#+ (.*)$", without_code(text), re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        count = sum(re.fullmatch(re.escape(anchor) + r"(-\d+)?", other) is not None for other in found)
        found.append(f"{anchor}-{count}" if count else anchor)
    return found


def links(texts, exists):
    """`texts`: {path: text} of all Markdown files. `exists`: whether there is a file or folder of that path."""
    problems = []
    for path, text in texts.items():
        prose = re.sub(r"`[^`\n]*`", "", without_code(text))
        for match in re.finditer(r"\]\(([^)\s]*)\)", prose):
            target, _, anchor = match[1].partition("#")
            where = f"{path}:{prose.count(chr(10), 0, match.start()) + 1}"
            if re.match(r"[a-z]+:", target):
                continue
            file = posixpath.normpath(posixpath.join(posixpath.dirname(path), target)) if target else path
            if not exists(file):
                problems.append(f"{where}: there is no {file}")
            elif anchor and file not in texts:
                problems.append(f"{where}: {file} is no Markdown file, and has no #{anchor}")
            elif anchor and anchor not in anchors(texts[file]):
                problems.append(f"{where}: {file} has no heading #{anchor}")
    return problems


def sentences(text):
    """Of paragraphs and lists, as (line, sentence); not of tables, headings and code."""
    found = []
    paragraph, begin = [], 1
    for number, line in enumerate(without_code(text).splitlines() + [""], 1):
        is_item = re.match(r"\s*(?:[-*]|\d+\.) ", line)
        if not line.strip() or line.startswith(("|", "#")) or is_item:
            joined = " ".join(paragraph)
            found += [(begin, sentence) for sentence in re.split(r"(?<=[.!?:])\**\s+", joined) if sentence]
            paragraph = []
        if line.strip() and not line.startswith(("|", "#")):
            if not paragraph:
                begin = number
            paragraph.append(re.sub(r"^\s*(?:[-*]|\d+\.) ", "", line).strip())
    return found


def repetitions(texts):
    """Sentences that stand in two files."""
    first = {}
    problems = []
    for path, text in texts.items():
        for line, sentence in sentences(text):
            words = re.findall(r"[\w']+", re.sub(r"\]\([^)]*\)", "", sentence).lower())
            if len(words) < SENTENCE_WORDS:
                continue
            known = first.setdefault(" ".join(words), f"{path}:{line}")
            if not known.startswith(path + ":"):
                problems.append(f"{path}:{line} repeats {known}: {sentence}")
    return problems


def readers(texts):
    """The first line of a README below its title says for whom it is."""
    problems = []
    for path, text in texts.items():
        lines = [line for line in text.splitlines() if line]
        if len(lines) < 2 or not lines[1].startswith(tuple(f"For {reader}" for reader in READERS)):
            problems.append(f"{path}: the first line does not begin with For {', For '.join(READERS)}")
    return problems


def tests(texts, sources):
    """`SUITE.NAME` in backticks is a test. `sources`: the texts of the test programs."""
    known = {f"{suite}.{name}" for source in sources
             for suite, name in re.findall(r"^TEST(?:_[FP])?\((\w+), (\w+)\)", source, re.MULTILINE)}
    return [f"{path}: there is no test {name}" for path, text in texts.items()
            for name in re.findall(r"`([A-Z]\w+\.[A-Z]\w+)`", text) if name not in known]


def length(text):
    lines = len(text.splitlines())
    return [f"README.md has {lines} lines, more than {README_LINES}"] if lines > README_LINES else []


def check(root, paths, report):
    """`paths`: all Markdown files."""
    texts = {}
    for path in paths:
        with open(os.path.join(root, path), encoding="utf-8") as file:
            texts[path] = file.read()
    own = {path: text for path, text in texts.items() if posixpath.basename(path) == "README.md"}
    sources = []
    for path in glob.glob(os.path.join(root, "tests", "**", "*.cc"), recursive=True):
        with open(path, encoding="utf-8") as file:
            sources.append(file.read())
    for name, problems in (
            ("links and anchors", links(texts, lambda path: os.path.exists(os.path.join(root, path)))),
            ("no sentence stands in two READMEs", repetitions(own)),
            ("each README says for whom it is", readers(own)),
            ("the tests that READMEs name exist", tests(own, sources)),
            (f"README.md has at most {README_LINES} lines", length(own["README.md"]))):
        report.check(name, "\n".join(problems))


# For the self test: texts with one mistake each.

GOOD = {
    "README.md": "# A\n\nFor newcomers: what it is. See [b](b/README.md#how-it-works-again) and `[no](link)`.\n\n"
                 "```\n[no](link)\n```\n\n`Suite.DoesWell` shows it. `Post.user_id` is a field.\n\n"
                 "## Here: `it` is\n\n[up](#here-it-is) and [out](https://example.com/x#y).\n",
    "b/README.md": "# B\n\nFor operators: how it is run.\n\n## How it works, again\n\n[a](../README.md), [c](c.cc).\n"
                   "A sentence that has a good deal of words in it.\n",
}
SOURCES = ["class Suite;\nTEST_P(Suite, DoesWell) {\n}\n"]
MISTAKES = [
    ("README.md", "DoesWell", "DoesBetter"),
    ("README.md", "b/README.md#", "c/README.md#"),
    ("README.md", "#how-it-works-again", "#how-it-works"),
    ("README.md", "(#here-it-is)", "(#here-is-it)"),
    ("b/README.md", "(c.cc)", "(c.cc#there)"),
    ("b/README.md", "(c.cc)", "(d.cc)"),
    ("README.md", "For newcomers", "Newcomers"),
    ("README.md", "[up]", "A sentence that has\na good deal of words in it. [up]"),
    ("README.md", "\n\n## Here", "\n" * README_LINES + "\n## Here"),
]


def all_problems(texts):
    exists = ["README.md", "b/README.md", "b/c.cc"]
    return (links(texts, exists.__contains__) + repetitions(texts) + readers(texts) + tests(texts, SOURCES) +
            length(texts["README.md"]))


def self_test():
    wrong = [f"good READMEs are not accepted: {problem}" for problem in all_problems(GOOD)]
    for path, text, by in MISTAKES:
        texts = dict(GOOD, **{path: GOOD[path].replace(text, by, 1)})
        if texts == GOOD or len(all_problems(texts)) != 1:
            wrong.append(f"{path} with {by!r} for {text!r} has {len(all_problems(texts))} mistakes, not one")
    return wrong
