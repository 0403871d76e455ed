# SPDX-License-Identifier: Apache-2.0
"""ttlv: just enough KMIP to say to a key server what no decent client would say."""
import socket
import ssl
import struct

REQUEST, RESPONSE = 0x420078, 0x42007B
SIGN, GET, QUERY, DISCOVER, CREATE_KEY_PAIR, ACTIVATE = 0x21, 0x0A, 0x18, 0x1E, 0x02, 0x12


def item(tag, kind, value):
    return struct.pack(">I", tag << 8 | kind) + struct.pack(">I", len(value)) + value + bytes(-len(value) % 8)


def struct_(tag, *children):
    return item(tag, 1, b"".join(children))


def int_(tag, value):
    return item(tag, 2, struct.pack(">i", value))


def enum(tag, value):
    return item(tag, 5, struct.pack(">I", value))


def text(tag, value):
    return item(tag, 7, value.encode())


def octets(tag, value):
    return item(tag, 8, value)


def batch_item(operation, payload=b"", batch_id=None, deadline_ms=None, abandoned=None):
    extension = int_(0x540002, deadline_ms) if deadline_ms is not None else b""
    if abandoned is not None:
        extension += octets(0x54003D, abandoned)
    if extension:
        extension = struct_(0x420051, text(0x42009D, "keyfleet"), item(0x420026, 6, bytes(8)),
                            struct_(0x42009C, extension))
    return struct_(0x42000F, enum(0x42005C, operation), octets(0x420093, batch_id) if batch_id else b"",
                   item(0x420079, 1, payload), extension)


def message(*items, version=(2, 1), options=b"", most=None):
    header = struct_(0x420069, int_(0x42006A, version[0]), int_(0x42006B, version[1]))
    if most is not None:
        header += int_(0x420050, most)
    header += options + int_(0x42000D, len(items))
    return struct_(REQUEST, struct_(0x420077, header), *items)


def request(operation, payload=b"", batch_id=None, **more):
    return message(batch_item(operation, payload, batch_id), **more)


def parse(data):
    """[(tag, value)] where structures are lists."""
    found, at = [], 0
    while at < len(data):
        tag, length = struct.unpack(">II", data[at:at + 8])
        value = data[at + 8:at + 8 + length]
        kind = tag & 255
        if kind == 1:
            value = parse(value)
        elif kind in (2, 5):
            value = struct.unpack(">i", value)[0]
        found.append((tag >> 8, value))
        at += 8 + length + -length % 8
    return found


def find(items, tag):
    """The first value with this tag, at any depth, or None."""
    for t, value in items:
        if t == tag:
            return value
        if isinstance(value, list):
            inner = find(value, tag)
            if inner is not None:
                return inner
    return None


def items_of(response):
    return [value for tag, value in response[0][1] if tag == 0x42000F]


def status(items):
    return find(items, 0x42007F)


def reason(items):
    return find(items, 0x42007E)


class Wire:
    """A connection over mutual TLS that sends bytes as they are."""

    def __init__(self, port, ca, certificate=None, key=None, alpn=None, before=b""):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(ca)
        if certificate:
            context.load_cert_chain(certificate, key)
        if alpn:
            context.set_alpn_protocols([alpn])
        raw = socket.create_connection(("127.0.0.1", port), 10)
        try:
            raw.sendall(before)
            self.tls = context.wrap_socket(raw)
        except BaseException:
            raw.close()
            raise
        self.tls.settimeout(10)

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.tls.close()

    def send(self, data):
        self.tls.sendall(data)

    def read(self, n):
        data = b""
        while len(data) < n:
            piece = self.tls.recv(n - len(data))
            if not piece:
                raise EOFError("connection closed")
            data += piece
        return data

    def receive(self):
        head = self.read(8)
        return parse(head + self.read(struct.unpack(">I", head[4:])[0]))

    def ask(self, data):
        self.send(data)
        return self.receive()

    def is_closed(self):
        """The server has nothing more to say and closes."""
        try:
            return self.tls.recv(1) == b""
        except (ConnectionError, ssl.SSLError):
            return True
