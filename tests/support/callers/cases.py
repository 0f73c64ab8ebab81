"""Makes the calls of a file of cases as the Python example would, and compares the answers: cases.py CASES_JSON

Wants deploy/clients/python and what is generated for it on PYTHONPATH. How the file is written: README.md.
"""

import json
import os
import shutil
import sys

import example
import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from google.rpc import error_details_pb2


def outcome(error):
    """The code, the reason unless it is the same word, and why."""
    info = example.detail(error, error_details_pb2.ErrorInfo)
    code = error.code().name
    return " ".join(word for word in (code, info.reason if info.reason != code else "", info.metadata["why"]) if word)


def encoded(case):
    """The request of the method's type; an empty one if the case has none."""
    if "request" not in case:
        return b""
    method = descriptor_pool.Default().FindMethodByName(case["method"].replace("/", "."))
    request = message_factory.GetMessageClass(method.input_type)()
    return json_format.ParseDict(case["request"], request).SerializeToString()


def call(case):
    for name in ("CA", "CERT", "KEY", "TOKEN_FILE"):
        os.environ.pop(f"CROSSKEY_{name}", None)
    os.environ.update(case["environment"])
    answers = []
    with example.connect(case["target"]) as channel:
        for token in case.get("tokens", [None]):
            if token:
                shutil.copy(token, os.environ["CROSSKEY_TOKEN_FILE"])
            try:
                channel.unary_unary("/" + case["method"])(encoded(case), timeout=20)
                answers.append("OK")
            except grpc.RpcError as error:
                answers.append(outcome(error))
    return ", then ".join(answers)


def main(path):
    with open(path, encoding="utf-8") as file:
        cases = json.load(file)
    wrong = 0
    for case in cases:
        answer = call(case)
        if answer != case["answer"]:
            wrong += 1
            print(f"WRONG  {case['name']}: {answer}, not {case['answer']}")
    print(f"{len(cases)} cases, {wrong} wrong")
    sys.exit(wrong > 0 or not cases)


main(sys.argv[1])
