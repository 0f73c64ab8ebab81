#!/usr/bin/env python3
"""Checks the SPDX document of an image's root: sbom.py ROOT SERVICE

It has to be of SPDX 2.3, with the fields that this version demands, and to have every regular file of the root but
itself. Every shared library has to belong to a Debian package, of the version in /var/lib/dpkg/status.d. The packages
whose headers are compiled into the program have to be there too. If all is right, the check is shown to notice
mistakes. Prints what there is, or what is wrong.
"""

import copy
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile

# What the sources include and no shared library has.
HEADERS = ("boost/version.hpp", "CLI/CLI.hpp", "nlohmann/json.hpp")
# Of the list of SPDX, those that are expected.
LICENCES = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only",
            "GPL-3.0-or-later", "ISC", "LGPL-2.0-only", "LGPL-2.0-or-later", "LGPL-2.1-only", "LGPL-2.1-or-later",
            "LGPL-3.0-or-later", "MIT", "MPL-2.0", "Zlib", "curl"}
ID = re.compile(r"SPDXRef-[A-Za-z0-9.-]+")
TEXTS = {
    "": ("spdxVersion", "dataLicense", "SPDXID", "name", "documentNamespace"),
    "packages": ("SPDXID", "name", "versionInfo", "supplier", "downloadLocation", "licenseConcluded",
                 "licenseDeclared", "copyrightText"),
    "files": ("SPDXID", "fileName", "licenseConcluded", "copyrightText"),
    "relationships": ("spdxElementId", "relationshipType", "relatedSpdxElement"),
}


def fields(document):
    for kind, names in TEXTS.items():
        for each in document[kind] if kind else [document]:
            missing = [name for name in names if not isinstance(each.get(name), str) or not each[name]]
            if missing:
                yield f"{each.get('SPDXID', kind)} has no {', '.join(missing)}"
    if document["spdxVersion"] != "SPDX-2.3" or document["dataLicense"] != "CC0-1.0":
        yield "it is not of SPDX 2.3"
    if document["SPDXID"] != "SPDXRef-DOCUMENT" or not re.fullmatch(r"https://[^#\s]+", document["documentNamespace"]):
        yield "it has no name of its own"
    created = document["creationInfo"]
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", created["created"]) or not all(
            re.match(r"(Tool|Person|Organization): ", creator) for creator in created["creators"]):
        yield "nothing says when and by what it was made"
    for package in document["packages"]:
        if not re.match(r"(Person|Organization): |NOASSERTION$", package["supplier"]):
            yield f"{package['name']}: the supplier is {package['supplier']}"
    for each in document["packages"] + document["files"]:
        said = [each["licenseConcluded"], *each.get("licenseInfoInFiles", []), each.get("licenseDeclared", "NONE")]
        for text in [text for text in said if not is_licence(text, document)]:
            yield f"{each['SPDXID']}: {text} is no licence of SPDX"


def is_licence(text, document):
    """One, or several with AND or OR between them. Others than those of SPDX have to be in the document."""
    known = LICENCES | {each["licenseId"] for each in document.get("hasExtractedLicensingInfos", [])}
    return text in ("NONE", "NOASSERTION") or set(re.split(r" (?:AND|OR) ", text)) <= known


def references(document):
    ids = [each["SPDXID"] for each in document["packages"] + document["files"]] + [document["SPDXID"]]
    for each in {each for each in ids if ids.count(each) > 1 or not ID.fullmatch(each)}:
        yield f"the id {each} is there twice, or is none"
    contained = {}
    for one in document["relationships"]:
        ends = (one["spdxElementId"], one["relatedSpdxElement"])
        if not set(ends) <= set(ids):
            yield f"a relationship of what is not there: {ends}"
        if one["relationshipType"] == "CONTAINS":
            contained.setdefault(ends[1], []).append(ends[0])
    described = [one["relatedSpdxElement"] for one in document["relationships"]
                 if one["relationshipType"] == "DESCRIBES" and one["spdxElementId"] == document["SPDXID"]]
    if described != ["SPDXRef-image"]:
        yield f"it describes {described}"
    for each in document["files"]:
        if len(contained.get(each["SPDXID"], [])) != 1:
            yield f"{each['fileName']} belongs to {contained.get(each['SPDXID'])}"


def checksum(file, algorithm):
    return next((each["checksumValue"] for each in file["checksums"] if each["algorithm"] == algorithm), None)


def codes(document):
    owner = {one["relatedSpdxElement"]: one["spdxElementId"] for one in document["relationships"]
             if one["relationshipType"] == "CONTAINS"}
    for package in document["packages"]:
        sums = sorted(checksum(each, "SHA1") or "" for each in document["files"]
                      if owner.get(each["SPDXID"]) == package["SPDXID"])
        wanted = hashlib.sha1("".join(sums).encode()).hexdigest()
        code = package.get("packageVerificationCode", {}).get("packageVerificationCodeValue")
        if package["filesAnalyzed"] != bool(sums) or sums and code != wanted:
            yield f"{package['name']}: the verification code is not that of its files"


def contents(document, root, service):
    own = f"/usr/share/sbom/{service}.spdx.json"
    there = {"." + path for folder, _, names in os.walk(root) for name in names
             for path in ["/" + os.path.relpath(os.path.join(folder, name), root)]
             if not os.path.islink(root + path) and path != own}
    listed = {each["fileName"]: each for each in document["files"]}
    if set(listed) != there:
        yield f"files that are not there, or not listed: {sorted(set(listed) ^ there)[:5]}"
    packages = {package["SPDXID"]: package for package in document["packages"]}
    owner = {one["relatedSpdxElement"]: packages.get(one["spdxElementId"]) for one in document["relationships"]
             if one["relationshipType"] == "CONTAINS"}
    for name in sorted(there & set(listed)):
        with open(root + name[1:], "rb") as file:
            content = file.read()
        for algorithm in ("SHA1", "SHA256"):
            if hashlib.new(algorithm, content).hexdigest() != checksum(listed[name], algorithm):
                yield f"{name} has another {algorithm}"
        package = owner.get(listed[name]["SPDXID"])
        if re.search(r"\.so($|\.)", name) and (package is None or package["SPDXID"] == "SPDXRef-image"):
            yield f"{name} belongs to no package"
    folder = os.path.join(root, "var/lib/dpkg/status.d")
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            version = re.search(r"^Version: (.*)$", file.read(), re.MULTILINE)[1]
        found = [package for package in document["packages"] if package["name"] == name]
        if [package["versionInfo"] for package in found] != [version]:
            yield f"{name} {version} is not in it"
        for package in found:
            purl = package["externalRefs"][0]["referenceLocator"]
            if not purl.startswith("pkg:deb/debian/") or package["filesAnalyzed"] is not True:
                yield f"{name}: {purl}"


def said_by_dpkg(*command):
    return subprocess.run(["dpkg-query", *command], stdout=subprocess.PIPE, universal_newlines=True, check=False).stdout


def compiled_in(document):
    linked = {one["relatedSpdxElement"] for one in document["relationships"]
              if (one["spdxElementId"], one["relationshipType"]) == ("SPDXRef-image", "STATIC_LINK")}
    there = {(each["name"], each["versionInfo"]) for each in document["packages"] if each["SPDXID"] in linked}
    for header in HEADERS:
        package = said_by_dpkg("-S", f"/usr/include/{header}").split(":")[0]
        version = said_by_dpkg("-W", "-f", "${Version}", package)
        if (package, version) not in there:
            yield f"{package} {version}, which has {header}, is not said to be in the program"


def problems(document, root, service):
    try:
        return [*fields(document), *references(document), *codes(document), *contents(document, root, service),
                *compiled_in(document)]
    except (KeyError, TypeError, IndexError) as error:
        return [f"not of the form that is expected: {error!r}"]


def library(document):
    return next(each for each in document["files"] if re.search(r"libssl\.so", each["fileName"]))


def give_to_image(document):
    for one in document["relationships"]:
        if one["relatedSpdxElement"] == library(document)["SPDXID"]:
            one["spdxElementId"] = "SPDXRef-image"


def sums_of_nothing(document):
    """Every SHA1 is wrong, and fits the verification codes."""
    for each in document["files"]:
        next(sum for sum in each["checksums"] if sum["algorithm"] == "SHA1")["checksumValue"] = "0" * 40
    for package in document["packages"]:
        count = len([one for one in document["relationships"] if one["relationshipType"] == "CONTAINS" and
                     one["spdxElementId"] == package["SPDXID"] and "file-" in one["relatedSpdxElement"]])
        if package["filesAnalyzed"]:
            code = hashlib.sha1(("0" * 40 * count).encode()).hexdigest()
            package["packageVerificationCode"]["packageVerificationCodeValue"] = code


def without_headers(document):
    gone = {one["relatedSpdxElement"] for one in document["relationships"] if one["relationshipType"] == "STATIC_LINK"}
    document["packages"] = [each for each in document["packages"] if each["SPDXID"] not in gone]
    document["relationships"] = [each for each in document["relationships"] if each["relatedSpdxElement"] not in gone]


def boost(document):
    return next(each for each in document["packages"] if each["name"].startswith("libboost"))


MISTAKES = {
    "another version of SPDX": lambda d: d.update(spdxVersion="SPDX-2.2"),
    "no time": lambda d: d["creationInfo"].update(created="today"),
    "a package without a licence": lambda d: d["packages"][1].pop("licenseDeclared"),
    "a licence in any words": lambda d: d["packages"][1].update(licenseDeclared="any words"),
    "a licence that SPDX calls otherwise": lambda d: d["packages"][1].update(licenseDeclared="Expat OR MIT"),
    "a licence that nothing explains": lambda d: d["files"][1].update(licenseInfoInFiles=["LicenseRef-own"]),
    "a supplier of no kind": lambda d: d["packages"][1].update(supplier="Debian"),
    "an id twice": lambda d: d["packages"][1].update(SPDXID=d["packages"][2]["SPDXID"]),
    "a file that is left out": lambda d: d["files"].remove(library(d)),
    "another content": lambda d: [each.update(checksumValue="0" * 64) for each in library(d)["checksums"]],
    "another content by SHA1": sums_of_nothing,
    "no package that is compiled in": without_headers,
    "another package in the place of Boost": lambda d: boost(d).update(name="libboost-dev"),
    "a library of no package": give_to_image,
    "another version of a package": lambda d: d["packages"][1].update(versionInfo="0"),
    "a package that is left out": lambda d: d["packages"].pop(1),
    "a relationship to nothing": lambda d: d["relationships"][3].update(relatedSpdxElement="SPDXRef-none"),
    "nothing described": lambda d: d["relationships"].pop(0),
}


def main():
    root, service = sys.argv[1].rstrip("/"), sys.argv[2]
    with open(f"{root}/usr/share/sbom/{service}.spdx.json", encoding="utf-8") as file:
        document = json.load(file)
    wrong = problems(document, root, service)
    for what, make in [] if wrong else MISTAKES.items():
        broken = copy.deepcopy(document)
        make(broken)
        if not problems(broken, root, service):
            wrong.append(f"not noticed: {what}")
    with tempfile.NamedTemporaryFile(dir=f"{root}/data"):
        if not wrong and not problems(document, root, service):
            wrong.append("not noticed: a file in /data")
    print("\n".join(wrong) or f"{len(document['packages'])} packages, {len(document['files'])} files")
    sys.exit(1 if wrong else 0)


main()
