#!/usr/bin/env python3
"""What tests/compatibility does with images of the contract, as `buf build -o -#format=json` makes them.

contract.py freeze IMAGE             prints the files of the image that are our own, in a form that can be reviewed
contract.py image BASELINE IMAGE     prints an image of the frozen files, with the imports of the other one
contract.py relationships OLD NEW    prints what is declared otherwise in NEW; exit status 1 if something is
"""

import json
import sys

WIDTH = 125
OPTION = "[relation.v1.references]"


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def is_import(file):
    return file.get("bufExtension", {}).get("isImport", False)


def layout(value, indent, key=""):
    """The value in one line where that is short enough, or else its parts in this way, as a list of lines."""
    line = indent + key + json.dumps(value)
    if not isinstance(value, (dict, list)) or not value or len(line) < WIDTH:
        return [line]
    brackets = "{}" if isinstance(value, dict) else "[]"
    parts = [(json.dumps(name) + ": ", part) for name, part in value.items()] if isinstance(value, dict) else [
        ("", part) for part in value]
    lines = [indent + key + brackets[0]]
    for number, (name, part) in enumerate(parts):
        below = layout(part, indent + " ", name)
        below[-1] += "," if number + 1 < len(parts) else ""
        lines += below
    return lines + [indent + brackets[1]]


def freeze(image):
    files = []
    for file in image["file"]:
        if is_import(file):
            continue
        file = {name: value for name, value in file.items() if name not in ("bufExtension", "sourceCodeInfo")}
        files.append(file)
    return "\n".join(layout({"file": sorted(files, key=lambda file: file["name"])}, "")) + "\n"


def with_imports(baseline, image):
    """The frozen files name files of protobuf itself, which never change and are not worth a review."""
    frozen = [dict(file, bufExtension={"isImport": False, "isSyntaxUnspecified": False}) for file in baseline["file"]]
    return {"file": [file for file in image["file"] if is_import(file)] + frozen}


def relationships(image):
    """{full name of a field: what it declares, or None}"""
    found = {}

    def visit(message, scope):
        name = f"{scope}.{message['name']}"
        for field in message.get("field", []):
            found[f"{name}.{field['name']}"] = field.get("options", {}).get(OPTION)
        for nested in message.get("nestedType", []):
            visit(nested, name)

    for file in image["file"]:
        if not is_import(file):
            for message in file.get("messageType", []):
                visit(message, file["package"])
    return found


def words(declared):
    return f"a reference to {declared.get('type')}, {declared.get('onDelete')}" if declared else "no reference"


def main():
    if sys.argv[1:2] == ["freeze"] and len(sys.argv) == 3:
        sys.stdout.write(freeze(load(sys.argv[2])))
    elif sys.argv[1:2] == ["image"] and len(sys.argv) == 4:
        json.dump(with_imports(load(sys.argv[2]), load(sys.argv[3])), sys.stdout)
    elif sys.argv[1:2] == ["relationships"] and len(sys.argv) == 4:
        old, new = relationships(load(sys.argv[2])), relationships(load(sys.argv[3]))
        if not any(old.values()):
            sys.exit("the baseline declares no relationship at all")
        # A field that is gone is buf's to tell.
        changed = [f"{name}: was {words(old[name])}, is {words(new[name])}"
                   for name in sorted(old) if name in new and old[name] != new[name]]
        if changed:
            print("\n".join(changed))
            sys.exit(1)
    else:
        sys.exit(__doc__)


main()
