"""A client of the hook server in plain Python: python3 client.py HOST:PORT ltv|tlv

Exits 0 where every byte is the one that the tutorial promises.
"""

import socket
import struct
import sys

DEADLINE = 20  # seconds, of each wait


def pack_ltv(msg_id, data):
    return struct.pack("<II", len(data), msg_id) + data


def pack_tlv(msg_id, data):
    return struct.pack(">II", msg_id, len(data)) + data


def expect(sock, want, what):
    got = b""
    while len(got) < len(want):
        piece = sock.recv(len(want) - len(got))
        if not piece:
            break
        got += piece
    if got != want:
        sys.exit(f"{what}: got {got!r}, expected {want!r}")


def main(address, order):
    pack = {"ltv": pack_ltv, "tlv": pack_tlv}[order]
    host, port = address.rsplit(":", 1)

    def answer(data):
        return pack(1, b"ping\n") + pack(1, data)

    with socket.create_connection((host, int(port)), timeout=DEADLINE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for data in (b"Zinx client test message", b"", bytes(range(256)), b"x" * 4096):
            sock.sendall(pack(1, data))
            expect(sock, answer(data), f"request of {len(data)} bytes")

        # Two frames in one write.
        sock.sendall(pack(1, b"first") + pack(1, b"second"))
        expect(sock, answer(b"first") + answer(b"second"), "two frames in one write")

        # A frame in two writes, cut at every byte. The answer to the frame before the cut one says that the first
        # piece has been read.
        frame = pack(1, b"cut in two")
        for at in range(1, len(frame)):
            sock.sendall(pack(1, b"before") + frame[:at])
            expect(sock, answer(b"before"), f"the frame before one cut at {at}")
            sock.sendall(frame[at:])
            expect(sock, answer(b"cut in two"), f"a frame cut at {at}")

        # An unknown id is passed over.
        sock.sendall(pack(77, b"nobody takes it") + pack(1, b"after"))
        expect(sock, answer(b"after"), "the request after one of an unknown id")

        sock.shutdown(socket.SHUT_WR)
        rest = sock.recv(1)
        if rest:
            sys.exit(f"after the end of stream: got {rest!r}, expected nothing")


if __name__ == "__main__":
    main(*sys.argv[1:])
