"""The parts of a README that can be checked: fenced blocks, the console sessions in them, and tables."""

import re
from collections import namedtuple

# line: number of the first line of the text, from 1.
Block = namedtuple("Block", "line language text")
# command: as it is printed, with its continuations. shown: the output below it.
Command = namedtuple("Command", "line command shown")
# rows: each a list of cells; the heading is not among them.
Table = namedtuple("Table", "line heading rows")

PROMPT = "$ "


def blocks(text):
    """The fenced blocks."""
    found = []
    begin = None
    for number, line in enumerate(text.splitlines(), 1):
        if begin is None:
            match = re.match(r"```(\w*)$", line)
            if match:
                begin, language, lines = number + 1, match[1], []
        elif line == "```":
            found.append(Block(begin, language, "\n".join(lines)))
            begin = None
        else:
            lines.append(line)
    return found


def is_console(block):
    return block.text.startswith(PROMPT)


def commands(block):
    """The session of a console block."""
    found = []
    lines = block.text.splitlines()
    position = 0
    while position < len(lines):
        number = block.line + position
        command = [lines[position][len(PROMPT):]]
        while command[-1].endswith("\\") and position + 1 < len(lines):
            position += 1
            command.append(lines[position])
        position += 1
        shown = []
        while position < len(lines) and not lines[position].startswith(PROMPT):
            shown.append(lines[position])
            position += 1
        while shown and not shown[-1]:
            shown.pop()
        found.append(Command(number, "\n".join(command), "\n".join(shown)))
    return found


def cells(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def tables(text):
    """The tables outside of fenced blocks."""
    found = []
    table = None
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        if fenced or not line.startswith("|"):
            table = None
        elif table is None:
            table = Table(number, cells(line), [])
            found.append(table)
        elif not re.match(r"\|[-|: ]+\|$", line):
            table.rows.append(cells(line))
    return found


def table_of(text, *heading):
    """The one table whose heading begins with these cells."""
    found = [table for table in tables(text) if table.heading[:len(heading)] == list(heading)]
    if len(found) != 1:
        raise ValueError(f"{len(found)} tables have the heading {' | '.join(heading)}")
    return found[0]


def code(cell):
    """The words in backticks."""
    return re.findall(r"`([^`]+)`", cell)
