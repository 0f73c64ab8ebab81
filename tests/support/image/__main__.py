#!/usr/bin/env python3
"""Checks deploy/Dockerfile, deploy/compose.yaml and what can be added to it, for tests/image.

image rules USER_HELP POST_HELP     whether they keep the rules of policy.py; the arguments are outputs of --help
image self-test USER_HELP POST_HELP shows that the rules notice what is wrong
image environment SERVICE           the environment of an image, a line for each variable
image command SERVICE INSTRUCTION   the words of ENTRYPOINT, CMD or HEALTHCHECK, a line for each
image value SERVICE INSTRUCTION     what USER, WORKDIR or STOPSIGNAL say
image context DIR                   copies what the build of the images sees

The first two print a line for each rule: ok, or FAILED and what is wrong.
"""

import os
import sys

import dockerfile
import policy
import self_test

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def load_yaml(text):
    try:
        import yaml
        return yaml.safe_load(text)
    except ImportError:
        from ruamel.yaml import YAML
        return YAML(typ="safe", pure=True).load(text)


def report(name, problems):
    print(f"ok      {name}" if not problems else f"FAILED  {name}")
    for problem in problems:
        print(f"        {problem}")


def main():
    command, *arguments = sys.argv[1:] or [""]
    if command in ("rules", "self-test"):
        helps = {}
        for service, path in zip(policy.SERVICES, arguments):
            with open(path, encoding="utf-8") as file:
                helps[service] = file.read()
        if command == "self-test":
            report("the rules notice what is wrong", self_test.unnoticed(ROOT, helps, load_yaml))
            return
        galera, nats = policy.ADDITIONS
        for additions in ((), (galera,), (nats,), (galera, nats)):
            files = policy.Files(ROOT, helps, load_yaml, additions=additions)
            which = "".join(f"with {os.path.basename(path)}: " for path in additions)
            for name, rule in policy.RULES.items():
                report(which + name, policy.broken(rule, files))
        return
    if command == "context":
        dockerfile.copy_context(ROOT, arguments[0])
        return
    with open(os.path.join(ROOT, "deploy/Dockerfile"), encoding="utf-8") as file:
        stage = dockerfile.stages(file.read())[arguments[0]] if arguments else None
    if command == "environment":
        print("\n".join(f"{name}={value}" for name, value in stage.pairs("ENV").items()))
    elif command == "command":
        print("\n".join(stage.words(arguments[1])))
    elif command == "value":
        print(stage.last(arguments[1]))
    else:
        sys.exit(__doc__)


main()
