"""Strict validation against the schemas: of Kubernetes, and of the operators whose resources are used."""

import copy
import os
import re

import jsonschema
import kubernetes_validate
import yaml

from objects import title_of

# Where each kind can have a field that nobody knows.
WITHOUT_SPEC = {"ConfigMap", "Secret", "ServiceAccount"}


def closed(value):
    """The schema of a CustomResourceDefinition without fields that it does not name: the API server refuses them."""
    if isinstance(value, list):
        return [closed(each) for each in value]
    if not isinstance(value, dict):
        return value
    value = {key: closed(each) for key, each in value.items()}
    if isinstance(value.get("properties"), dict) and not value.get("x-kubernetes-preserve-unknown-fields"):
        value.setdefault("additionalProperties", False)
    return value


class Schemas:
    """`crds`: {API group: folder}; `absent`: API groups without a schema, whose resources are left out."""

    def __init__(self, versions, crds, absent):
        self.versions, self.crds, self.absent = versions, crds, absent

    def has(self, each):
        return each["apiVersion"].split("/")[0] not in self.absent

    def custom(self, each):
        """The schema of an operator's resource, None for others."""
        group, _, version = each["apiVersion"].rpartition("/")
        plural = re.sub("(?<![aeiou])y$", "ie", each["kind"].lower()) + "s"
        path = os.path.join(self.crds.get(group, ""), f"{group}_{plural}.yaml")
        if not os.path.isfile(path):
            return None
        with open(path, encoding="utf-8") as file:
            versions = yaml.load(file, yaml.CSafeLoader)["spec"]["versions"]
        known = {each["name"]: each["schema"]["openAPIV3Schema"] for each in versions}
        return closed(known.get(version))

    def problem(self, each):
        try:
            custom = self.custom(each)
            if custom:
                # Not jsonschema.validate, which validates the schema as well, for longer.
                jsonschema.Draft202012Validator(custom).validate(each)
                return ""
            for version in self.versions:
                kubernetes_validate.validate(each, version, strict=True)
        except jsonschema.ValidationError as error:
            return f"{title_of(each)}: {'.'.join(map(str, error.absolute_path))}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError as error:
            return f"{title_of(each)}: {error.message}"
        return ""


def mistakes(overlays):
    """{what: object}, each with one mistake: an unknown field in every kind that is used, and some more."""
    found, kinds = {}, {}
    for overlay in overlays:
        for each in overlay.objects:
            kinds.setdefault(each["kind"], each)
    for kind, each in kinds.items():
        broken = copy.deepcopy(each)
        (broken if kind in WITHOUT_SPEC else broken.setdefault("spec", {}))["misspelt"] = "x"
        found[f"an unknown field of a {kind}"] = broken

    def change(kind, what, function):
        if kind in kinds:
            broken = copy.deepcopy(kinds[kind])
            function(broken)
            found[what] = broken

    def container(each):
        return each["spec"]["template"]["spec"]["containers"][0]

    change("Deployment", "a misspelt field of a probe",
           lambda each: container(each)["readinessProbe"]["grpc"].update(services="readiness"))
    change("Deployment", "a misspelt hook", lambda each: container(each).update(lifecycle={"prestop": {}}))
    change("Deployment", "a port that is no number",
           lambda each: container(each)["ports"][0].update(containerPort="grpc"))
    change("Deployment", "a Deployment without a selector", lambda each: each["spec"].pop("selector"))
    change("Deployment", "a Deployment without containers",
           lambda each: each["spec"]["template"]["spec"].pop("containers"))
    change("HorizontalPodAutoscaler", "a word for a number", lambda each: each["spec"].update(maxReplicas="six"))
    change("NetworkPolicy", "a misspelt selector of a policy",
           lambda each: each["spec"].update(ingress=[{"from": [{"podSelectors": {}}]}]))
    change("Job", "an API version that is gone", lambda each: each.update(apiVersion="batch/v1beta9"))
    change("User", "a version of a User that there is not", lambda each: each.update(apiVersion="k8s.mariadb.com/v1"))
    change("MariaDB", "a misspelt field deep in a MariaDB", lambda each: each["spec"]["storage"].update(sizes="1Gi"))
    change("User", "a User without its server", lambda each: each["spec"].pop("mariaDbRef"))
    return found
