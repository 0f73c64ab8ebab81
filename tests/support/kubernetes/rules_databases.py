"""The rules for databases, replicas and migrations."""

import posixpath
import re

from objects import containers_of, matches, service_of, title_of
from rules import (autoscaler_of, count_of, database_of, DATABASE_URL, hosts_of, hosts_of_mariadb, is_galera, is_mysql,
                   replicas_of, rule, server_containers)


@rule("SQLite: one replica, Recreate, a volume")
def sqlite(overlay, _):
    for pod, container in server_containers(overlay):
        url = database_of(overlay, pod)
        if not url:
            yield f"{pod.name} has no database of its own: it would be the image's, in a place that is lost"
        if not url.startswith("sqlite:"):
            continue
        if replicas_of(overlay, pod) != (1, 1) or "replicas" not in pod.owner["spec"]:
            yield f"{pod.name} has more than one replica, or may get them"
        if pod.owner["spec"].get("strategy", {}).get("type") != "Recreate":
            yield f"{pod.name}: two pods have the database file open during an update"
        claims = {volume["name"] for volume in pod.spec.get("volumes", []) if "persistentVolumeClaim" in volume}
        folders = {mount["mountPath"] for mount in container.get("volumeMounts", [])
                   if mount["name"] in claims and not mount.get("readOnly")}
        if posixpath.dirname(url[len("sqlite:"):]) not in folders:
            yield f"{pod.name}: {url} is not in a volume that stays"
        if pod.spec.get("securityContext", {}).get("fsGroup") is None:
            yield f"{pod.name} may not write to its volume"
        shared = [other.name for other in overlay.servers()
                  if other.name != pod.name and claims_of(other) & claims_of(pod)]
        if shared:
            yield f"{pod.name} shares its volume with {shared}"


def claims_of(pod):
    return {volume["persistentVolumeClaim"]["claimName"] for volume in pod.spec.get("volumes", [])
            if "persistentVolumeClaim" in volume}


@rule("replicas: a server for the database, one evicted at a time, spread, updated without a gap")
def replicated(overlay, _):
    for pod in overlay.servers():
        least, most = replicas_of(overlay, pod)
        if is_mysql(overlay, pod) and least < 2:
            yield f"{pod.name} may be one replica only"
        if most < 2:
            continue
        if not is_mysql(overlay, pod):
            yield f"{pod.name} may have {most} replicas, without a database server"
        budgets = [each for each in overlay.of_kind("PodDisruptionBudget")
                   if matches(each["spec"]["selector"], pod.labels)]
        if len(budgets) != 1:
            yield f"{pod.name} has {len(budgets)} disruption budgets"
        for budget in budgets:
            spec = budget["spec"]
            if "maxUnavailable" in spec:
                disruptions = count_of(spec["maxUnavailable"], least, True)
            else:
                disruptions = least - count_of(spec["minAvailable"], least, True)
            if not 1 <= disruptions < least:
                yield f"{title_of(budget)} allows {disruptions} of {least} pods to be evicted"
        topologies = {each["topologyKey"] for each in pod.spec.get("topologySpreadConstraints", [])}
        if not {"kubernetes.io/hostname", "topology.kubernetes.io/zone"} <= topologies:
            yield f"{pod.name} is not spread over nodes and zones"
        rolling = pod.owner["spec"].get("strategy", {}).get("rollingUpdate", {})
        if rolling.get("maxUnavailable") != 0 or not rolling.get("maxSurge"):
            yield f"{pod.name}: an update takes pods away before there are new ones"
        autoscaler = autoscaler_of(overlay, pod)
        if autoscaler:
            if "replicas" in pod.owner["spec"]:
                yield f"{pod.name}: the number of replicas is the autoscaler's, applying would reset it"
            for metric in autoscaler["spec"].get("metrics", []):
                kind = metric.get("resource", {}).get("name")
                if any(kind not in container.get("resources", {}).get("requests", {})
                       for container in containers_of(pod.spec)):
                    yield f"{title_of(autoscaler)}: {kind} is not requested by {pod.name}"


@rule("migrations: a Job for each database, with an account of its own, that ends and is cleaned up")
def migrations(overlay, world):
    for pod in overlay.migrations():
        spec = pod.owner["spec"]
        for field in ("backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"):
            if not spec.get(field):
                yield f"{pod.name} has no {field}"
        if pod.spec.get("restartPolicy") not in ("Never", "OnFailure"):
            yield f"{pod.name} would be restarted for ever"
    for pod in overlay.servers():
        jobs = [job for job in overlay.migrations() if service_of(job) == service_of(pod)]
        if len(jobs) != (1 if is_mysql(overlay, pod) else 0):
            yield f"{pod.name} has {len(jobs)} Jobs for its schema"
            continue
        for job in jobs:
            if job.spec["containers"][0]["image"] != pod.spec["containers"][0]["image"]:
                yield f"{job.name} has another image than {pod.name}"
            mine, its = DATABASE_URL.match(database_of(overlay, pod)), DATABASE_URL.match(database_of(overlay, job))
            if not mine or not its or mine.groups()[1:] != its.groups()[1:]:
                yield f"{job.name} has another database than {pod.name}"
            elif mine.group(1) == its.group(1):
                yield f"{job.name} uses the account of {pod.name}"
            if secret_names(job) & secret_names(pod):
                yield f"{job.name} uses the password of {pod.name}"


def secret_names(pod):
    return {volume["secret"]["secretName"] for volume in pod.spec.get("volumes", []) if "secret" in volume}


@rule("databases of the operator: accounts as in the URLs, with enough connections, that outlive their resources")
def operator_databases(overlay, world):
    for server in overlay.of_kind("MariaDB"):
        replicas = server["spec"].get("replicas", 1)
        if is_galera(server) and (replicas < 3 or replicas % 2 == 0):
            yield f"{title_of(server)}: of {replicas} servers, half may be cut off, and then none takes writes"
        if is_galera(server) and server["spec"].get("podDisruptionBudget", {}).get("maxUnavailable") != 1:
            yield f"{title_of(server)}: more than one server may be evicted at a time"
        if is_galera(server):
            images = {server["spec"]["galera"].get(name, {}).get("image") for name in ("agent", "initContainer")}
            if len(images) != 1 or None in images:
                yield f"{title_of(server)}: agent and init container are of {sorted(map(str, images))}"
        if not is_galera(server) and replicas != 1:
            yield f"{title_of(server)}: the URLs do not say which of {replicas} servers takes writes"
        needed = 0
        for pod in overlay.servers() + overlay.migrations():
            found = DATABASE_URL.match(database_of(overlay, pod))
            if not found or set(hosts_of(found)) != hosts_of_mariadb(server):
                yield f"{pod.name} does not use {title_of(server)}"
                continue
            sessions = sessions_of(overlay, world, pod)
            needed += sessions
            yield from account(overlay, pod, found, sessions)
        limit = re.search(r"^max_connections\s*=\s*(\d+)", server["spec"].get("myCnf", ""), re.MULTILINE)
        if not limit or int(limit.group(1)) < needed:
            yield f"{title_of(server)} allows fewer connections than {needed}"
    for each in overlay.of_kind("Database", "User", "Grant"):
        if each["spec"].get("cleanupPolicy") != "Skip":
            yield f"{title_of(each)}: with the resource its content is deleted"
    for each in overlay.of_kind("Database"):
        if each["spec"].get("characterSet") != "utf8mb4":
            yield f"{title_of(each)} cannot hold all texts"


def sessions_of(overlay, world, pod):
    if pod.owner["kind"] == "Job":
        return 1
    container = pod.spec["containers"][0]
    pool = int(overlay.environment(pod, container).get(world.prefix(container["image"]) + "DB_POOL", 16))
    surge = pod.owner["spec"].get("strategy", {}).get("rollingUpdate", {}).get("maxSurge", 1)
    # The surge counts twice, because pods that are ending still have their sessions.
    return pool * (replicas_of(overlay, pod)[1] + 2 * count_of(surge, replicas_of(overlay, pod)[1], True))


def account(overlay, pod, url, sessions):
    name, _, _, database = url.groups()
    if database not in [each["spec"].get("name") for each in overlay.of_kind("Database")]:
        yield f"{pod.name}: there is no Database {database}"
    users = [each for each in overlay.of_kind("User") if each["spec"].get("name") == name]
    if len(users) != 1:
        yield f"{pod.name}: there are {len(users)} Users {name}"
        return
    if users[0]["spec"]["passwordSecretKeyRef"]["name"] not in secret_names(pod):
        yield f"{pod.name} has another password than {title_of(users[0])}"
    if users[0]["spec"].get("maxUserConnections", 10) < sessions:
        yield f"{title_of(users[0])} allows fewer connections than {sessions}"
    wanted = {"SELECT", "INSERT", "UPDATE", "DELETE"}
    if pod.owner["kind"] == "Job":
        wanted |= {"CREATE", "ALTER", "INDEX", "REFERENCES"}
    granted = {privilege for each in overlay.of_kind("Grant") if each["spec"]["username"] == name
               for privilege in each["spec"]["privileges"]}
    databases = {each["spec"].get("database") for each in overlay.of_kind("Grant") if each["spec"]["username"] == name}
    if granted != wanted or databases != {database}:
        yield f"{pod.name}: {name} may {sorted(granted)} on {sorted(databases)}"
