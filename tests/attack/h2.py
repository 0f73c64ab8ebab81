"""As much of HTTP/2, HPACK and gRPC as the attacks and an honest client need, in bytes. Loopback only."""

import ipaddress
import socket
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INITIAL_WINDOW_SIZE = 4
WINDOW = 65535


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def settings(**values):
    """The frame that a client begins with. Its only value here is initial_window_size."""
    payload = b"".join(struct.pack(">HI", INITIAL_WINDOW_SIZE, value) for value in values.values())
    return frame(SETTINGS, 0, 0, payload)


def integer(value, bits, first=0):
    """An integer of HPACK with a prefix of so many bits; `first` has the bits before it."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((first | value,))
    out = bytearray((first | most,))
    value -= most
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def text(value):
    value = value if isinstance(value, bytes) else value.encode()
    return integer(len(value), 7) + value


def header(name, value):
    """Without the tables of HPACK, so it says the same on every connection."""
    return b"\x00" + text(name) + text(value)


def request_headers(path, *more):
    block = b"\x83\x86" + b"\x04" + text(path) + b"\x01" + text("crosskey")
    block += header("content-type", "application/grpc") + header("te", "trailers")
    return block + b"".join(header(name, value) for name, value in more)


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def number_field(number, value):
    return varint(number << 3) + varint(value)


def text_field(number, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(payload=b"", compressed=0):
    return struct.pack(">BI", compressed, len(payload)) + payload


def address(value):
    """HOST:PORT as a pair. Only loopback: nobody else is attacked."""
    host, _, port = value.rpartition(":")
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"{host} is not this machine")
    return host, int(port)


def open_socket(target, source=None, timeout=5, tls=None):
    """`tls`: (context, the name that the server's certificate has to have)."""
    plain = socket.create_connection(target, timeout=timeout, source_address=(source, 0) if source else None)
    return tls[0].wrap_socket(plain, server_hostname=tls[1]) if tls else plain


class Frames:
    """Takes bytes as they come, gives whole frames: (kind, flags, stream, payload)."""

    def __init__(self):
        self.buffer = bytearray()

    def take(self, data):
        self.buffer += data
        found, at = [], 0
        while len(self.buffer) - at >= 9:
            length = self.buffer[at] << 16 | self.buffer[at + 1] << 8 | self.buffer[at + 2]
            if len(self.buffer) - at < 9 + length:
                break
            stream = int.from_bytes(self.buffer[at + 5:at + 9], "big") & 0x7FFFFFFF
            found.append((self.buffer[at + 3], self.buffer[at + 4], stream, bytes(self.buffer[at + 9:at + 9 + length])))
            at += 9 + length
        del self.buffer[:at]
        return found


class HeaderReader:
    """Decodes header blocks. Of the static table it knows little, and it leaves Huffman codes as they are."""

    STATIC = {8 + i: (b":status", status) for i, status in
              enumerate((b"200", b"204", b"206", b"304", b"400", b"404", b"500"))}
    STATIC[31] = (b"content-type", b"")

    def __init__(self):
        self.table = []

    def entry(self, index):
        if index <= 61:
            return self.STATIC.get(index, (b"%d" % index, b""))
        return self.table[index - 62]

    def read(self, block):
        found, at = {}, 0

        def read_integer(bits):
            nonlocal at
            most = (1 << bits) - 1
            value = block[at] & most
            at += 1
            shift = 0
            while value >= most:
                value += (block[at] & 127) << shift
                shift += 7
                at += 1
                if not block[at - 1] & 128:
                    break
            return value

        def read_text():
            nonlocal at
            length = read_integer(7)
            at += length
            return block[at - length:at]

        while at < len(block):
            first = block[at]
            if first & 0x80:
                name, value = self.entry(read_integer(7))
            elif first & 0xE0 == 0x20:
                read_integer(5)
                continue
            else:
                index = read_integer(6 if first & 0x40 else 4)
                name = self.entry(index)[0] if index else read_text()
                value = read_text()
                if first & 0x40:
                    self.table.insert(0, (name, value))
                    # Entries of the usual table of 4096 bytes; the oldest go.
                    while sum(len(n) + len(v) + 32 for n, v in self.table) > 4096:
                        self.table.pop()
            found[name.decode()] = value.decode("latin-1")
        return found


class Client:
    """One connection that makes one call after the other, as an honest client does."""

    def __init__(self, target, source=None, timeout=5, tls=None):
        self.timeout = timeout
        self.socket = open_socket(target, source, timeout, tls)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.frames, self.headers, self.stream, self.window = Frames(), HeaderReader(), 1, WINDOW
        self.initial, self.ended = WINDOW, False
        # The windows for answers are large, so that only the connection's has to be opened again.
        self.socket.sendall(PREFACE + settings(initial_window_size=2**30) + frame(WINDOW_UPDATE, 0, 0, b"\x3f\0\0\0"))

    def close(self):
        self.socket.close()

    def call(self, path, payload, *more, raw=None):
        """(status of gRPC, headers and trailers, the message). `raw`: instead of the message with its prefix."""
        stream, self.stream = self.stream, self.stream + 2
        deadline = time.monotonic() + self.timeout
        block = request_headers(path, ("grpc-timeout", f"{self.timeout}S"), *more)
        self.socket.sendall(frame(HEADERS, END_HEADERS, stream, block))
        body, own = memoryview(raw if raw is not None else message(payload)), self.initial
        answer, fields, sent_end = b"", {}, False
        while True:
            while not sent_end and (not body or min(self.window, own) > 0):
                size = min(len(body), self.window, own, 16384)
                sent_end = size == len(body)
                self.socket.sendall(frame(DATA, END_STREAM if sent_end else 0, stream, bytes(body[:size])))
                body, self.window, own = body[size:], self.window - size, own - size
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no answer")
            self.socket.settimeout(left)
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("closed")
            done = False
            for kind, flags, of, content in self.frames.take(data):
                if kind == SETTINGS and not flags & ACK:
                    for key, value in struct.iter_unpack(">HI", content):
                        if key == INITIAL_WINDOW_SIZE:
                            own += value - self.initial
                            self.initial = value
                    self.socket.sendall(frame(SETTINGS, ACK, 0))
                elif kind == PING and not flags & ACK:
                    self.socket.sendall(frame(PING, ACK, 0, content))
                elif kind == WINDOW_UPDATE:
                    more_window = int.from_bytes(content, "big")
                    if of == 0:
                        self.window += more_window
                    elif of == stream:
                        own += more_window
                elif kind == GOAWAY:
                    self.ended = True
                elif kind == HEADERS:
                    # Of any stream, because all change the table.
                    block_fields = self.headers.read(content)
                    if of == stream:
                        fields.update(block_fields)
                        done |= bool(flags & END_STREAM)
                elif kind == DATA:
                    if content:
                        self.socket.sendall(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", len(content))))
                    if of == stream:
                        answer += content
                        done |= bool(flags & END_STREAM)
                elif kind == RST_STREAM and of == stream and not done:
                    raise ConnectionError(f"the call was reset, {int.from_bytes(content, 'big')}")
            if done:
                return int(fields.get("grpc-status", 2)), fields, answer[5:]
