#!/usr/bin/env python3
"""What the edge lets through and what it refuses, for tests/edge.

edge behaviour USER POST    calls both listeners of an edge with the settings that it is shipped with
edge health PORT            serves as a gRPC server that is alive and not ready, until it is ended
edge stat SOCKET SERVER     the state of SERVER (BACKEND/NAME) at the edge whose admin socket this is
edge tls USER POST CA       calls both listeners of an edge over TLS
edge drains USER PID        asks the edge to end while a call is open: the call must end as it would have

`behaviour` prints a line for each check: ok, or FAILED and what is wrong.
"""

import os
import signal
import socket
import ssl
import struct
import sys
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "attack"))
import h2  # noqa: E402

HEALTH, WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
GET_USER, CREATE_USER = "/user.v1.UserService/GetUser", "/user.v1.UserService/CreateUser"
OK, RESOURCE_EXHAUSTED, UNIMPLEMENTED, UNAUTHENTICATED = 0, 8, 12, 16


def details(fields):
    """The google.rpc.Status of an error, as (code, message, everything behind)."""
    coded = fields["grpc-status-details-bin"]
    import base64
    data = base64.b64decode(coded + "=" * (-len(coded) % 4))
    code, length = data[1], data[3]
    return code, data[4:4 + length].decode(), data[4 + length:]


def overloaded(answer, message):
    status, fields, _ = answer
    assert status == RESOURCE_EXHAUSTED and fields["grpc-message"] == message, answer
    code, said, more = details(fields)
    assert (code, said) == (status, message), (code, said)
    for part in (b"google.rpc.ErrorInfo", b"\x0a\x0aOVERLOADED", b"\x12\x08crosskey", b"google.rpc.RetryInfo"):
        assert part in more, more
    assert fields["content-type"] == "application/grpc" and fields[":status"] == "200", fields


def expect(answer, status, message=None):
    assert answer[0] == status and message in (None, answer[1].get("grpc-message")), answer[:2]
    return answer


class Behaviour:
    def __init__(self, user, post):
        self.user, self.post = user, post
        self.id = 0

    def calls_go_through(self):
        """calls of both services"""
        client = h2.Client(self.user)
        answer = expect(client.call(CREATE_USER, h2.text_field(1, "edge")), OK)[2]
        # CreateUserResponse.user.id, which is below 128 in a new database.
        self.id = answer[3]
        expect(client.call(GET_USER, h2.number_field(1, self.id)), OK)
        not_found = expect(client.call(GET_USER, h2.number_field(1, 99)), 5)
        assert "grpc-status-details-bin" in not_found[1], not_found
        client.close()

    def large_messages(self):
        """a request of 3 MB, and its answer"""
        client = h2.Client(self.post, timeout=20)
        one = h2.text_field(1, "large") + h2.text_field(2, "x" * 60000) + h2.number_field(3, self.id)
        answer = expect(client.call("/post.v1.PostService/BatchCreatePosts", h2.text_field(1, one) * 50), OK)
        assert len(answer[2]) > 3_000_000, len(answer[2])
        client.close()

    def health_and_reflection(self):
        """health and reflection"""
        for target in (self.user, self.post):
            client = h2.Client(target)
            assert expect(client.call(HEALTH, h2.text_field(1, "readiness")), OK)[2] == b"\x08\x01"
            answer = expect(client.call(REFLECTION, h2.text_field(7, "")), OK)
            assert b"grpc.health.v1.Health" in answer[2], answer
            client.close()

    def other_services(self):
        """what is not public is refused: services of the internal listeners, and those of the other service"""
        for target, path in ((self.user, "/post.v1.PostService/GetPost"), (self.post, GET_USER),
                             (self.user, "/event.v1.EventService/Subscribe"), (self.user, "/"),
                             (self.post, "/relation.v1.ReferenceService/ReleaseReferenced"),
                             (self.post, "/post.v1.PostServiceX/GetPost")):
            client = h2.Client(target)
            expect(client.call(path, b""), UNIMPLEMENTED, "no such service")
            client.close()

    def compressed(self):
        """compressed requests are refused"""
        client = h2.Client(self.user)
        packed = h2.message(zlib.compress(h2.number_field(1, self.id), wbits=31), compressed=1)
        expect(client.call(GET_USER, b"", ("grpc-encoding", "gzip"), raw=packed), UNIMPLEMENTED,
               "no compressed requests")
        expect(client.call(GET_USER, h2.number_field(1, self.id), ("grpc-encoding", "identity")), OK)
        client.close()

    def binary_headers(self):
        """a header -bin that is no base64 does no harm"""
        client = h2.Client(self.user)
        for _ in range(3):
            expect(client.call(GET_USER, h2.number_field(1, self.id), ("x-attack-bin", "!*!")), OK)
        client.close()

    def large_headers(self):
        """headers of more than 16 KB are refused"""
        client = h2.Client(self.user)
        try:
            status = client.call(GET_USER, h2.number_field(1, self.id), ("x-large", "a" * 16200))[0]
        except OSError:
            status = None
        assert status != OK
        client.close()

    def streams(self):
        """a client is told how many calls a connection may have: 64"""
        client = h2.open_socket(self.user)
        client.sendall(h2.PREFACE + h2.settings())
        found = h2.Frames().take(client.recv(4096))[0]
        assert found[0] == h2.SETTINGS and (3, 64) in list(struct.iter_unpack(">HI", found[3])), found
        client.close()

    def requests(self):
        """too many requests in a second are refused with OVERLOADED, and only to the address that made them"""
        one, other = h2.Client(self.user, "127.0.3.1"), h2.Client(self.user, "127.0.3.2")
        client = h2.Client(self.user, "127.0.3.1")
        # Refused by the path, which costs nothing: half of them here, the others on the other connection.
        block = h2.request_headers("/none")
        end = time.monotonic() + 10
        answer = (OK, {}, b"")
        while answer[0] != RESOURCE_EXHAUSTED and time.monotonic() < end:
            burst = b"".join(h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, client.stream + 2 * i, block)
                             for i in range(60))
            client.stream += 120
            client.socket.sendall(burst)
            expect(client.call("/none", b""), client.call("/none", b"")[0])
            answer = one.call(GET_USER, h2.number_field(1, self.id))
        overloaded(answer, "too many requests")
        expect(other.call(GET_USER, h2.number_field(1, self.id)), OK)
        for each in (one, other, client):
            each.close()

    def connections(self):
        """the 129th connection of an address is closed, and another address has one"""
        many = [h2.Client(self.user, "127.0.3.3") for _ in range(128)]
        expect(many[-1].call(GET_USER, h2.number_field(1, self.id)), OK)
        try:
            more = h2.Client(self.user, "127.0.3.3")
            more.call(GET_USER, h2.number_field(1, self.id))
            raise AssertionError("the 129th connection was answered")
        except OSError:
            pass
        other = h2.Client(self.user, "127.0.3.4")
        expect(other.call(GET_USER, h2.number_field(1, self.id)), OK)
        for each in many + [other]:
            each.close()

    def calls(self):
        """the 129th open call of an address is refused with OVERLOADED, and another address has one"""
        watch = h2.message(h2.text_field(1, "readiness"))
        open_calls, refused = [], 0
        for _ in range(3):
            client = h2.Client(self.user, "127.0.3.5")
            client.socket.settimeout(10)
            client.socket.sendall(b"".join(
                h2.frame(h2.HEADERS, h2.END_HEADERS, client.stream + 2 * i, h2.request_headers(WATCH)) +
                h2.frame(h2.DATA, h2.END_STREAM, client.stream + 2 * i, watch) for i in range(50)))
            open_calls.append(client)
            # Each is answered: with the state of the service, or with an error. A call before that would have a place.
            answered = set()
            while len(answered) < 50:
                for kind, flags, stream, _ in client.frames.take(client.socket.recv(65536)):
                    if kind in (h2.HEADERS, h2.DATA):
                        answered.add(stream)
                        refused += kind == h2.HEADERS and bool(flags & h2.END_STREAM)
        assert refused == 22, f"{refused} of 150 calls were refused"
        last = h2.Client(self.user, "127.0.3.5")
        answer = last.call(HEALTH, h2.text_field(1, "readiness"))
        overloaded(answer, "too many calls")
        other = h2.Client(self.user, "127.0.3.6")
        expect(other.call(HEALTH, h2.text_field(1, "readiness")), OK)
        for each in open_calls + [last, other]:
            each.close()

    def run(self):
        failed = False
        for check in (self.calls_go_through, self.large_messages, self.health_and_reflection, self.other_services,
                      self.compressed, self.binary_headers, self.large_headers, self.streams, self.requests,
                      self.connections, self.calls):
            try:
                check()
                print(f"ok      {check.__doc__}")
            except Exception as error:  # whatever it is, the other checks are made
                failed = True
                print(f"FAILED  {check.__doc__}\n        {type(error).__name__}: {str(error)[:500]}")
        return failed


def health(port):
    """Answers Health/Check with NOT_SERVING for `readiness` and with SERVING for every other name."""
    listener = socket.create_server(("127.0.0.1", port))
    while True:
        client, _ = listener.accept()
        client.settimeout(2)
        try:
            asked = b""
            while b"ness" not in asked:
                data = client.recv(4096)
                if not data:
                    break
                asked += data
            state = 2 if b"readiness" in asked else 1
            client.sendall(
                h2.settings() + h2.frame(h2.HEADERS, h2.END_HEADERS, 1, b"\x88" + h2.header("content-type",
                                                                                            "application/grpc")) +
                h2.frame(h2.DATA, 0, 1, h2.message(h2.number_field(1, state))) +
                h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 1, h2.header("grpc-status", "0")))
        except OSError:
            pass
        client.close()


def over_tls(user, post, ca):
    """Both services answer over TLS, and nobody is answered who speaks none."""
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(["h2"])
    for target in (user, post):
        client = h2.Client(target, tls=(context, "localhost"))
        assert expect(client.call(HEALTH, h2.text_field(1, "readiness")), OK)[2] == b"\x08\x01"
        client.close()
        try:
            h2.Client(target, timeout=3).call(HEALTH, b"")
            raise SystemExit("a client without TLS was answered")
        except OSError:
            pass
    # Of a caller who has not said who it is, the service says so, and not the edge.
    client = h2.Client(user, tls=(context, "localhost"))
    expect(client.call(GET_USER, h2.number_field(1, 1)), UNAUTHENTICATED)
    client.close()


def stat(path, server):
    """UP or DOWN, by the table of the admin socket."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    client.sendall(b"show stat\n")
    text = b""
    while data := client.recv(65536):
        text += data
    names, *rows = [line.split(",") for line in text.decode().splitlines() if line]
    for row in rows:
        if row[0] + "/" + row[1] == server:
            return row[names.index("status")]
    raise SystemExit(f"the edge has no server {server}")


def drains(target, pid):
    """A stream is open. After the signal it lives on, a new connection is not taken, and then the edge ends."""
    client = h2.Client(target, timeout=10)
    stream = client.stream
    client.socket.sendall(
        h2.frame(h2.HEADERS, h2.END_HEADERS, stream, h2.request_headers(REFLECTION)) +
        h2.frame(h2.DATA, 0, stream, h2.message(h2.text_field(7, ""))))

    def await_frame(kind, of):
        end = time.monotonic() + 10
        while time.monotonic() < end:
            data = client.socket.recv(65536)
            if not data:
                raise SystemExit("the connection was closed while its call was open")
            if any(found[0] == kind and found[2] == of for found in client.frames.take(data)):
                return
        raise SystemExit(f"no frame of kind {kind}")
    await_frame(h2.DATA, stream)
    os.kill(pid, signal.SIGUSR1)
    end = time.monotonic() + 10
    refused = False
    while not refused and time.monotonic() < end:
        try:
            h2.open_socket(target, timeout=1).close()
            time.sleep(0.05)
        except OSError:
            refused = True
    if not refused:
        raise SystemExit("new connections are still taken")
    # The same call goes on, and ends.
    client.socket.sendall(h2.frame(h2.DATA, h2.END_STREAM, stream, h2.message(h2.text_field(7, ""))))
    await_frame(h2.HEADERS, stream)
    client.close()


def main():
    command, *arguments = sys.argv[1:] or [""]
    if command == "behaviour":
        sys.exit(Behaviour(*(h2.address(value) for value in arguments)).run())
    elif command == "health":
        health(int(arguments[0]))
    elif command == "tls":
        over_tls(h2.address(arguments[0]), h2.address(arguments[1]), arguments[2])
    elif command == "stat":
        print(stat(*arguments))
    elif command == "drains":
        drains(h2.address(arguments[0]), int(arguments[1]))
    else:
        sys.exit(__doc__)


main()
