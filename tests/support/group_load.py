#!/usr/bin/env python3
"""Clients of both services for tests/group-replication: group_load.py USER_ADDRESS POST_ADDRESS LEDGER

Create users and posts, delete some of the users, and read all of it at once, until SIGTERM. A call that the services
could not carry out is repeated with its request_id, as a client should. What was acknowledged is a line of LEDGER:
`user ID`, `post ID`, `gone-user ID` or `gone-post ID`. The last lines of the output say what happened. Ends with exit
code 1 if an answer was wrong.
"""
import collections
import os
import signal
import sys
import threading
import time
import urllib.parse
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../attack"))
import h2  # noqa: E402

THREADS = 4
POSTS = 2  # of each user
PATIENCE = 90  # seconds until a call has to succeed
STALE_PATIENCE = 10  # seconds that a read may be behind before nobody waits any longer
OK, DEADLINE_EXCEEDED, NOT_FOUND, RESOURCE_EXHAUSTED, FAILED_PRECONDITION, ABORTED, UNAVAILABLE = 0, 4, 5, 8, 9, 10, 14
AGAIN = (DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, UNAVAILABLE)
HIDDEN = (4, 5)  # RECLAIMING and COMPLETED: the posts are gone for every reader
PENDING = 3  # they can be seen until post-service takes changes again, and what is written meanwhile goes with them


def fields(data):
    """The fields of a message by number: an int or bytes, the last one of each."""
    found, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            found[key >> 3] = number()
        else:
            size = number()
            found[key >> 3] = data[at:at + size]
            at += size
    return found


class Load:
    def __init__(self, users, posts, ledger):
        self.targets = {"user": h2.address(users), "post": h2.address(posts)}
        self.ledger = open(ledger, "a", buffering=1)
        self.lock, self.stop = threading.Lock(), threading.Event()
        self.acknowledged, self.again, self.wrong, self.stale = collections.Counter(), collections.Counter(), [], []
        self.last, self.silence = time.monotonic(), 0.0

    def note(self, what, number):
        with self.lock:
            now = time.monotonic()
            self.silence, self.last = max(self.silence, now - self.last), now
            self.acknowledged[what] += 1
            self.ledger.write(f"{what} {number}\n")

    def report(self, where, text):
        with self.lock:
            where.append(text)
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


class Client:
    """One thread, with one connection to each service."""

    def __init__(self, load, number):
        self.load, self.number, self.connections = load, number, {}

    def call(self, service, method, payload):
        """(status, fields of the answer): repeats what may be repeated."""
        path = f"/{service}.v1.{service.capitalize()}Service/{method}"
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if service not in self.connections or self.connections[service].ended:
                    self.connections[service] = h2.Client(self.load.targets[service], timeout=10)
                status, answer_fields, answer = self.connections[service].call(path, payload)
                if status not in AGAIN:
                    return status, fields(answer) if status == OK else {}
                why = urllib.parse.unquote(answer_fields.get("grpc-message", f"status {status}"))
            except OSError as error:  # with timeouts
                self.connections.pop(service, None)
                why = type(error).__name__
            with self.load.lock:
                self.load.again[why] += 1
            if time.monotonic() > deadline:
                raise RuntimeError(f"{path} was not answered within {PATIENCE} s: {why}")
            time.sleep(0.05)

    def write(self, method, payload, request_id_field):
        """A call that must succeed."""
        service = "post" if "Post" in method else "user"
        status, answer = self.call(service, method, payload + h2.text_field(request_id_field, str(uuid.uuid4())))
        if status != OK:
            raise RuntimeError(f"{method} got status {status}")
        return answer

    def read(self, method, number, expected):
        """What was acknowledged has to be seen by whoever asks next."""
        service, began, behind = "post" if "Post" in method else "user", time.monotonic(), False
        payload = h2.number_field(1, number) + (h2.number_field(2, 1) if service == "post" else b"")
        while True:
            status, answer = self.call(service, method, payload)
            # A post comes with its user.
            if status == expected and (status != OK or service != "post" or 2 in answer):
                break
            if time.monotonic() - began > STALE_PATIENCE:
                self.load.report(self.load.wrong, f"{method} {number} got status {status} and not {expected}")
                return
            behind = True
            time.sleep(0.005)
        if behind:
            self.load.report(self.load.stale, f"{method} {number} was behind for {time.monotonic() - began:.3f} s")

    def round(self, turn):
        name = f"honest{self.number}x{turn}"
        user = fields(self.write("CreateUser", h2.text_field(1, name), 2)[1])[1]
        self.load.note("user", user)
        self.read("GetUser", user, OK)
        posts = []
        for i in range(POSTS):
            payload = h2.text_field(1, f"Post {i}") + h2.number_field(3, user)
            posts.append(fields(self.write("CreatePost", payload, 4)[1])[1])
            self.load.note("post", posts[-1])
            self.read("GetPost", posts[-1], OK)
        if turn % 3 != 0:
            return
        state = fields(self.write("DeleteUser", h2.number_field(1, user), 6)[1])[5]
        self.load.note("gone-user", user)
        for post in posts:
            self.load.note("gone-post", post)
        self.read("GetUser", user, NOT_FOUND)
        if state in HIDDEN:
            for post in posts:
                self.read("GetPost", post, NOT_FOUND)
        late = h2.text_field(1, "Too late") + h2.number_field(3, user)
        status, answer = self.call("post", "CreatePost", late + h2.text_field(4, str(uuid.uuid4())))
        if status == OK and state == PENDING:
            self.load.note("gone-post", fields(answer[1])[1])
        elif status != FAILED_PRECONDITION:
            self.load.report(self.load.wrong, f"CreatePost of the user {user}, deleted with {state}, got {status}")

    def run(self, first):
        turn = first
        try:
            while not self.load.stop.is_set():
                turn += 1
                self.round(turn)
        except Exception as error:
            self.load.report(self.load.wrong, f"{type(error).__name__}: {error}")


def main():
    if len(sys.argv) != 4:
        print(__doc__.splitlines()[0], file=sys.stderr)
        sys.exit(2)
    load = Load(*sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: load.stop.set())
    first = int(time.time()) % 100_000_000 * 10_000  # other names than in an earlier run
    threads = [threading.Thread(target=Client(load, i).run, args=(first,)) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("acknowledged:", ", ".join(f"{count} {what}" for what, count in sorted(load.acknowledged.items())))
    print("repeated:", ", ".join(f"{count} {why}" for why, count in sorted(load.again.items())) or "nothing")
    print(f"reads behind: {len(load.stale)}; longest time without an acknowledged write: {load.silence:.1f} s")
    sys.exit(1 if load.wrong else 0)


main()
