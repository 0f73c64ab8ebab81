#!/usr/bin/env python3
"""A MariaDB server that asks for the login of MySQL 8: sha2_login.py PORT_FILE SERVER_PORT ACCOUNT=PASSWORD_FILE...

MariaDB 10.11 cannot log anybody in with caching_sha2_password. This program stands between the client and such a
server, and takes the server's part in the login: it checks what the client proves. Then it logs in to the server with
mysql_native_password in the client's place, and hands on what both say.

As MySQL does, it knows an account only after the account's first login. For the first login the client has to send the
password, encrypted with the server's RSA key; later logins are quick. A client that names another plugin than
caching_sha2_password is told to switch to it.

Writes its own port, on loopback, into PORT_FILE, and a line on standard output for each login: full, quick or refused.
Needs the program openssl. Runs until it is killed.
"""

import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import threading

PLUGIN = b"caching_sha2_password"
SSL, COMPRESS, CONNECT_WITH_DB, PLUGIN_AUTH_LENENC = 0x800, 0x20, 0x8, 0x200000
OAEP = ["-pkeyopt", "rsa_padding_mode:oaep"]


def xor(left, right):
    return bytes(a ^ b for a, b in zip(left, right))


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def sha1(*parts):
    return hashlib.sha1(b"".join(parts)).digest()


def read_exactly(connection, size):
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionError("closed")
        data += part
    return data


def read_packet(connection):
    header = read_exactly(connection, 4)
    return header[3], read_exactly(connection, int.from_bytes(header[:3], "little"))


def write_packet(connection, number, payload):
    connection.sendall(len(payload).to_bytes(3, "little") + bytes([number]) + payload)


def until_zero(data, begin):
    end = data.index(b"\0", begin)
    return data[begin:end], end + 1


class Greeting:
    """The first packet of a server: the version, the number of the connection, and the nonce in two parts."""

    def __init__(self, payload):
        self.payload = payload
        _, position = until_zero(payload, 1)
        self.position = position + 4
        plugin_begin = payload.index(b"\0", self.position + 8 + 1 + 18 + 12) + 1
        self.nonce = payload[self.position:self.position + 8] + payload[self.position + 27:plugin_begin - 1]
        self.plugin_begin = plugin_begin

    def for_client(self):
        changed = bytearray(self.payload)
        low = self.position + 9
        capabilities = int.from_bytes(changed[low:low + 2], "little") & ~(SSL | COMPRESS)
        changed[low:low + 2] = capabilities.to_bytes(2, "little")
        return bytes(changed[:self.plugin_begin]) + PLUGIN + b"\0"


class Response:
    """What a client says to a greeting."""

    def __init__(self, payload):
        capabilities = int.from_bytes(payload[:4], "little")
        if capabilities & SSL or not capabilities & PLUGIN_AUTH_LENENC:
            raise ValueError("a client that was not expected")
        _, position = until_zero(payload, 32)
        self.head = payload[:position]
        length = payload[position]
        self.proof = payload[position + 1:position + 1 + length]
        position += 1 + length
        database = b""
        if capabilities & CONNECT_WITH_DB:
            name, end = until_zero(payload, position)
            database = name + b"\0"
            position = end
        self.database = database
        self.plugin, position = until_zero(payload, position)
        self.rest = payload[position:]

    def for_server(self, proof):
        return self.head + bytes([len(proof)]) + proof + self.database + b"mysql_native_password\0" + self.rest


class Logins:
    def __init__(self, passwords, folder):
        self.passwords = passwords
        self.key = os.path.join(folder, "key.pem")
        self.known = set()
        subprocess.run(["openssl", "genrsa", "-out", self.key, "2048"], check=True, stderr=subprocess.DEVNULL)
        self.public_key = subprocess.run(["openssl", "pkey", "-in", self.key, "-pubout"], check=True,
                                         stdout=subprocess.PIPE).stdout

    def sent(self, encrypted, nonce):
        """The password that a client has encrypted."""
        command = ["openssl", "pkeyutl", "-decrypt", "-inkey", self.key] + OAEP
        plain = subprocess.run(command, input=encrypted, stdout=subprocess.PIPE, check=True).stdout
        return xor(plain, nonce * (len(plain) // len(nonce) + 1))[:-1]

    def login(self, client, server):
        """Logs the client in, and returns the line to print. Raises if the client or the server refuses."""
        greeting = Greeting(read_packet(server)[1])
        write_packet(client, 0, greeting.for_client())
        number, payload = read_packet(client)
        response = Response(payload)
        account = response.head[32:-1].decode()
        proof = response.proof
        if response.plugin != PLUGIN:
            write_packet(client, number + 1, b"\xfe" + PLUGIN + b"\0" + greeting.nonce + b"\0")
            number, proof = read_packet(client)
        password = self.passwords[account]
        once = sha256(password)
        if account in self.known and proof == xor(once, sha256(sha256(once), greeting.nonce)):
            kind = "quick"
            number += 1
            write_packet(client, number, b"\x01\x03")
        else:
            kind = "full"
            write_packet(client, number + 1, b"\x01\x04")
            number, payload = read_packet(client)
            if payload != b"\x02":
                raise ValueError("the client does not ask for the key")
            write_packet(client, number + 1, b"\x01" + self.public_key)
            number, payload = read_packet(client)
            if self.sent(payload, greeting.nonce) != password:
                raise ValueError("another password")
            self.known.add(account)
        once = sha1(password)
        write_packet(server, 1, response.for_server(xor(once, sha1(greeting.nonce, sha1(once)))))
        answer = read_packet(server)[1]
        write_packet(client, number + 1, answer)
        if answer[0] != 0:
            raise ValueError(f"the server says {answer[3:]!r}")
        return f"{kind} {account}"


def hand_on(source, sink):
    try:
        while True:
            data = source.recv(65536)
            if not data:
                break
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(logins, client, server_port):
    with client, socket.create_connection(("127.0.0.1", server_port)) as server:
        try:
            print(logins.login(client, server), flush=True)
        except (OSError, ValueError, IndexError, KeyError, subprocess.CalledProcessError) as error:
            print(f"refused: {error}", flush=True)
            return
        back = threading.Thread(target=hand_on, args=(server, client), daemon=True)
        back.start()
        hand_on(client, server)
        back.join()


def main():
    port_file, server_port, *accounts = sys.argv[1:]
    passwords = {}
    for account in accounts:
        name, path = account.split("=", 1)
        with open(path, "rb") as file:
            passwords[name] = file.read().strip()
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        logins = Logins(passwords, folder)
        with open(port_file + ".new", "w", encoding="ascii") as file:
            print(listener.getsockname()[1], file=file)
        os.rename(port_file + ".new", port_file)
        while True:
            client = listener.accept()[0]
            threading.Thread(target=serve, args=(logins, client, int(server_port)), daemon=True).start()


main()
