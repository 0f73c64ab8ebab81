"""Strict validation against the schemas: of Kubernetes, and of the operators whose resources are used."""

import copy
import json
import os
import subprocess

import yaml

# Where each kind can have a field that nobody knows.
WITHOUT_SPEC = {"ConfigMap", "Secret", "ServiceAccount"}


class Schemas:
    """`crds`: folders; `absent`: API groups without a schema, whose resources are left out."""

    def __init__(self, validator, version, crds, absent, temp):
        self.validator, self.version, self.crds, self.absent = validator, version, crds, absent
        self.folder = os.path.join(temp, "schema")

    def has(self, each):
        return each["apiVersion"].split("/")[0] not in self.absent

    def validate(self, files):
        """files: {name: objects}; the problems of each."""
        os.makedirs(self.folder, exist_ok=True)
        paths = {}
        for number, (name, objects) in enumerate(files.items()):
            paths[name] = os.path.join(self.folder, f"{number}.yaml")
            with open(paths[name], "w", encoding="utf-8") as file:
                yaml.safe_dump_all([each for each in objects if self.has(each)], file)
        command = [self.validator, "--version", self.version, "--output", "json"]
        for folder in self.crds:
            command += ["--local-crds", folder]
        # Otherwise it would look for a cluster and ask that.
        environment = {**os.environ, "KUBECONFIG": os.devnull}
        ran = subprocess.run(command + list(paths.values()), env=environment, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, universal_newlines=True, timeout=300, check=False)
        try:
            answer = json.loads(ran.stdout)
        except ValueError:
            answer = {}
        problems = {}
        for name, path in paths.items():
            results = answer.get(path, answer.get(os.path.basename(path)))
            wanted = len([each for each in files[name] if self.has(each)])
            if results is None or len(results) != wanted:
                problems[name] = f"the validator did not say: {ran.stderr.strip() or ran.stdout[:300]}"
            else:
                problems[name] = "\n".join(sorted({
                    line for result in results if result.get("status") != "Success"
                    for line in result.get("message", "invalid").splitlines()}))
        return problems


def mistakes(overlays):
    """{what: objects}, each with one mistake: an unknown field in every kind that is used, and some more."""
    found, kinds = {}, {}
    for overlay in overlays:
        for each in overlay.objects:
            kinds.setdefault(each["kind"], each)
    for kind, each in kinds.items():
        broken = copy.deepcopy(each)
        (broken if kind in WITHOUT_SPEC else broken.setdefault("spec", {}))["misspelt"] = "x"
        found[f"an unknown field of a {kind}"] = [broken]

    def change(kind, what, function):
        if kind in kinds:
            broken = copy.deepcopy(kinds[kind])
            function(broken)
            found[what] = [broken]

    def container(each):
        return each["spec"]["template"]["spec"]["containers"][0]

    change("Deployment", "a misspelt field of a probe",
           lambda each: container(each)["readinessProbe"]["grpc"].update(services="readiness"))
    change("Deployment", "a misspelt hook", lambda each: container(each).update(lifecycle={"prestop": {}}))
    change("Deployment", "a port that is no number",
           lambda each: container(each)["ports"][0].update(containerPort="grpc"))
    change("Deployment", "a Deployment without a selector", lambda each: each["spec"].pop("selector"))
    change("Deployment", "a Deployment without containers", lambda each: each["spec"]["template"]["spec"].pop("containers"))
    change("HorizontalPodAutoscaler", "a word for a number", lambda each: each["spec"].update(maxReplicas="six"))
    change("NetworkPolicy", "a misspelt selector of a policy",
           lambda each: each["spec"].update(ingress=[{"from": [{"podSelectors": {}}]}]))
    change("Job", "an API version that is gone", lambda each: each.update(apiVersion="batch/v1beta9"))
    change("MariaDB", "a misspelt field deep in a MariaDB", lambda each: each["spec"]["storage"].update(sizes="1Gi"))
    change("User", "a User without its server", lambda each: each["spec"].pop("mariaDbRef"))
    return found
