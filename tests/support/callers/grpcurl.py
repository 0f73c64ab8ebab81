"""Makes the calls of a file of cases with grpcurl, and compares the answers: grpcurl.py GRPCURL CASES_JSON

Runs in the root of the repository: who may not ask for reflection needs the proto files. How the file of cases is
written: README.md.
"""

import json
import pathlib
import shutil
import subprocess
import sys

CODES = ("OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED "
         "RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS "
         "UNAUTHENTICATED").split()
PROTOS = ("user/v1/user_service.proto", "post/v1/post_service.proto", "event/v1/event_service.proto",
          "relation/v1/reference_service.proto", "google/rpc/error_details.proto")


def flags(environment):
    """What grpcurl takes in place of the variables of the examples."""
    if "CROSSKEY_CA" not in environment:
        return ["-plaintext"]
    found = ["-cacert", environment["CROSSKEY_CA"]]
    if "CROSSKEY_CERT" in environment:
        found += ["-cert", environment["CROSSKEY_CERT"], "-key", environment["CROSSKEY_KEY"]]
    if "CROSSKEY_TOKEN_FILE" in environment:
        token = pathlib.Path(environment["CROSSKEY_TOKEN_FILE"]).read_text().strip()
        found += ["-H", f"authorization: Bearer {token}"]
    return found


def call(grpcurl, case):
    protos = [word for proto in PROTOS for word in ("-proto", proto)]
    done = subprocess.run(
        [grpcurl, "-max-time", "20", "-connect-timeout", "2", "-format-error", "-import-path", "proto", *protos,
         *flags(case["environment"]), "-d", json.dumps(case.get("request", {})), case["target"], case["method"]],
        capture_output=True, text=True)
    if done.returncode == 0:
        return "OK"
    # There has been no connection.
    if done.stderr.startswith("Failed to dial target host"):
        return "UNAVAILABLE"
    if not done.stderr.startswith("{"):
        return done.stderr.strip()
    status = json.loads(done.stderr)
    code = CODES[status["code"]]
    info = next((detail for detail in status.get("details", ())
                 if detail["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"), {})
    reason = info.get("reason", "")
    words = (code, reason if reason != code else "", info.get("metadata", {}).get("why"))
    return " ".join(word for word in words if word)


def main(grpcurl, path):
    cases = json.loads(pathlib.Path(path).read_text())
    wrong = 0
    for case in cases:
        answers = []
        for token in case.get("tokens", [None]):
            if token:
                shutil.copy(token, case["environment"]["CROSSKEY_TOKEN_FILE"])
            answers.append(call(grpcurl, case))
        answer = ", then ".join(answers)
        if answer != case["answer"]:
            wrong += 1
            print(f"WRONG  {case['name']}: {answer}, not {case['answer']}")
    print(f"{len(cases)} cases, {wrong} wrong")
    sys.exit(wrong > 0 or not cases)


main(*sys.argv[1:])
