"""What deploy/Dockerfile says, and which files it sees."""

import fnmatch
import json
import os
import re
import shlex
import shutil


class Stage:
    def __init__(self, image, name):
        self.image = image
        self.name = name
        self.instructions = []  # (INSTRUCTION, arguments)

    def all(self, instruction):
        return [arguments for known, arguments in self.instructions if known == instruction]

    def last(self, instruction):
        return (self.all(instruction) or [""])[-1]

    def pairs(self, instruction):
        """{name: value} of ENV and LABEL."""
        return dict(word.split("=", 1) for arguments in self.all(instruction) for word in shlex.split(arguments))

    def words(self, instruction):
        """Those of an instruction in exec form; nothing where it is not in that form."""
        text = self.last(instruction)
        found = re.search(r"\[.*\]$", text)
        return json.loads(found[0]) if found else []


def stages(text):
    """{name: Stage}, in their order."""
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.M)
    found = {}
    current = None
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if not line.strip():
            continue
        instruction, arguments = line.strip().split(None, 1)
        instruction = instruction.upper()
        if instruction == "FROM":
            image, name = re.fullmatch(r"(\S+)(?:\s+[Aa][Ss]\s+(\S+))?", arguments.strip()).groups()
            current = found.setdefault(name or str(len(found)), Stage(image, name))
        elif current:
            current.instructions.append((instruction, arguments))
    return found


def copy_context(root, target):
    """Copies what .dockerignore lets through. The last rule that fits decides."""
    with open(os.path.join(root, ".dockerignore"), encoding="utf-8") as file:
        rules = [line.strip() for line in file if line.strip() and not line.startswith("#")]

    def fits(path, rule):
        if rule.startswith("**/"):
            return fnmatch.fnmatch(os.path.basename(path), rule[3:])
        parts = path.split("/")
        return fnmatch.fnmatch("/".join(parts[:rule.count("/") + 1]), rule)

    def wanted(path):
        ignored = False
        for rule in rules:
            if fits(path, rule.lstrip("!")):
                ignored = not rule.startswith("!")
        return not ignored

    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in (".git", "node_modules") and not name.startswith("build")]
        for name in files:
            path = os.path.relpath(os.path.join(folder, name), root)
            if wanted(path):
                os.makedirs(os.path.dirname(os.path.join(target, path)), exist_ok=True)
                shutil.copy2(os.path.join(root, path), os.path.join(target, path))
