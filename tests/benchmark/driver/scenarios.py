"""The scenarios that are more than a load. Each returns {work: values of the client}."""

import os
import threading
import time
import uuid
from statistics import median

import fill
from processes import Failure, Process


def delete_user(system, settings, seed):
    """DeleteUser of users with one post, and of one with many, with nothing else to do."""
    user = system.client("fill-user", f"--count={settings.many}")["user"]
    small = system.client("delete-small", f"--times={settings.small_deletions}")
    system.settle()
    large = system.client("delete-large", f"--user={user}", *system.watched())
    system.settle()
    # These wait for each other, so their rate says nothing.
    small = {"delete_ms": small["p50_ms"], "errors": small["errors"]}
    return {"DeleteUser, 1 post": small, "DeleteUser, many posts": large}


def reclaim(system, settings, seed):
    """The calls of others before and during the reclaim of many posts."""
    user = system.client("fill-user", f"--count={settings.many}")["user"]
    system.settle()
    result = system.client("delete-large", f"--user={user}", "--group=GetPost=GetPost:4",
                           "--group=CreatePost=CreatePost:4", f"--seconds={settings.seconds}", f"--seed={seed}",
                           *system.watched())
    system.settle()
    return {f"{method}, {when}": dict(result[phase][method], processes=result["processes"])
            for phase, when in (("idle", "before a reclaim"), ("during", "during a reclaim"))
            for method in ("GetPost", "CreatePost")}


def hot_user(system, settings, seed):
    """64 clients write posts of one user while 16 write those of others; and the same clients with nobody hot."""
    results = {}
    for name, method in (("even", "CreatePost"), ("one hot user", "CreatePostForHotUser")):
        result = system.load([f"many={method}:64", "others=CreatePost:16"], settings.seconds, seed)
        system.settle()
        for group, clients in (("many", "64 clients"), ("others", "16 others")):
            results[f"CreatePost, {name}: {clients}"] = dict(result["groups"][group], processes=result["processes"])
    return results


def cascade(system, settings, seed):
    """ON DELETE CASCADE in one database."""
    return {"ON DELETE CASCADE": system.command("cascade", f"--rows={settings.many}")}


def feed(system, settings, seed):
    """Many events: written and numbered while nobody reads them, and then consumed with nothing else to do.

    The sequencer numbers them while they are written, so its own limit is not below what is measured.
    """
    head = "SELECT head FROM feed"
    system.stop()
    system.serve(hears=False)
    before = system.number("post-service", head)
    begin = time.monotonic()
    system.client("fill-user", f"--count={settings.many}")
    written = time.monotonic()
    end = before + settings.many
    await_position(lambda: system.number("post-service", head), end)
    numbered = time.monotonic()
    system.stop()
    system.serve()
    start = await_position(system.consumed, before + 1)
    begin_consuming = time.monotonic()
    await_position(system.consumed, end)
    seconds = time.monotonic() - begin_consuming
    system.settle()
    streams = os.environ.get("CROSSKEY_TEST_EVENTS")
    return {"events, written": {"events_per_second": settings.many / (written - begin)},
            "events, written and numbered": {"events_per_second": settings.many / (numbered - begin)},
            "events, consumed": {"events_per_second": (end - start) / seconds},
            **(stream(system, settings, f"{streams}/b{uuid.uuid4().hex}") if streams else {})}


def stream(system, settings, events):
    """The same by NATS: all events are published, and then as many new ones are published and consumed at once.

    user-service does not reach post-service meanwhile, so every event comes from the stream.
    """
    head = system.number("post-service", "SELECT head FROM feed")
    system.stop()
    system.serve(events=events)
    begin = time.monotonic()
    await_position(system.published, head)
    published = time.monotonic() - begin
    system.stop()
    system.serve(hears=False)
    system.client("fill-user", f"--count={settings.many}")
    end = head + settings.many
    await_position(lambda: system.number("post-service", "SELECT head FROM feed"), end)
    system.stop()
    system.serve(hears=False, events=events)
    begin = time.monotonic()
    await_position(system.consumed, end)
    consumed = time.monotonic() - begin
    system.stop()
    system.serve()
    system.settle()
    return {"events, published to NATS": {"events_per_second": head / published},
            "events, published to NATS and consumed": {"events_per_second": settings.many / consumed}}


def await_position(position, wanted):
    """The first position that is at least the wanted one."""
    deadline = time.monotonic() + 600
    while True:
        now = position()
        if now >= wanted:
            return now
        if time.monotonic() > deadline:
            raise Failure(f"the events stand still at {now}, and {wanted} are wanted")
        time.sleep(0.01)


def check(system, settings, seed):
    """`check` of post-service, and the calls of others before and meanwhile."""
    fill.references(system, settings.references)
    groups = ["GetPost=GetPost:4", "CreatePost=CreatePost:4"]
    before = system.load(groups, settings.seconds, seed)
    system.settle()
    command = Process("check", system.check_command(), system.log("check"))
    begin = time.monotonic()
    ended = []

    def wait():
        command.child.wait()
        ended.append(time.monotonic())

    waiting = threading.Thread(target=wait)
    waiting.start()
    during = []
    try:
        while not ended:
            load = system.load(groups, settings.seconds, seed)
            # The last one was not disturbed all the time.
            if not ended or not during:
                during.append(load)
    finally:
        command.stop()
        waiting.join()
    seconds = ended[0] - begin
    if command.child.returncode != 0:
        raise Failure(f"check has ended with {command.child.returncode}: {command.log_end()}")
    system.settle()
    results = {f"{settings.references:,} references": {"check_s": seconds,
                                                       "rows_per_second": settings.references / seconds}}
    for method in ("GetPost", "CreatePost"):
        results[f"{method}, before a check"] = dict(before["groups"][method], processes=before["processes"])
        found = [load["groups"][method] for load in during]
        results[f"{method}, during a check"] = dict(
            found[0], processes=during[0]["processes"], errors=sum(each["errors"] for each in found),
            **{field: median(each[field] for each in found) for field in ("per_second", "p50_ms", "p99_ms")})
    return results


RUN = {"DeleteUser": delete_user, "Reclaim": reclaim, "HotUser": hot_user, "Cascade": cascade,
       "Feed": feed, "Check": check}
