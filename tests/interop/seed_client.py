"""A client as the Python tutorial has them, on plain sockets: python3 seed_client.py HOST:PORT CHAPTER

It prints what the server of that chapter prints meanwhile: the `print` calls below are those of the tutorial's server.
Exits 0 if every byte that comes back is the one that the tutorial's server sends.
"""

import socket
import struct
import sys

DEADLINE = 20  # seconds, of each wait


def pack(msg_id, data):
    return struct.pack("<II", len(data), msg_id) + data


def read_exactly(client, count):
    data = b""
    while len(data) < count:
        piece = client.recv(count - len(data))
        if not piece:
            sys.exit(f"the server has closed after {data!r}")
        data += piece
    return data


def read_message(client):
    length, msg_id = struct.unpack("<II", read_exactly(client, 8))
    return msg_id, read_exactly(client, length)


def expect(client, msg_id, data):
    got = read_message(client)
    if got != (msg_id, data):
        sys.exit(f"got {got}, expected {(msg_id, data)}")


def ping(client, data):
    client.send(pack(1, data))
    print("调用Handle")
    print(data)
    expect(client, 1, "ping\n".encode("GB2312"))
    expect(client, 1, data)


def hello(client, data):
    client.send(pack(2, data))
    print("调用Handle")
    print(data)
    expect(client, 2, "你好,Zinx\n".encode("GB2312"))


def talk(address, con_id, has_hooks):
    client = socket.create_connection(address, DEADLINE)
    if has_hooks:
        print("======Start========", con_id)
    for data in (b"Zinx client message", "你好,服务器".encode("GB2312"), b"", b"\x00\r\n\t\\\x7f"):
        ping(client, data)
        if not has_hooks:
            hello(client, data)
    client.shutdown(socket.SHUT_WR)
    if has_hooks:
        print("======Stop========", con_id)
    rest = client.recv(1)
    if rest:
        sys.exit(f"after the end of stream: got {rest!r}, expected nothing")
    client.close()


def main(address, chapter):
    sys.stdout.reconfigure(encoding="utf-8")
    host, port = address.rsplit(":", 1)
    for con_id in range(3):
        talk((host, int(port)), con_id, chapter == "10")


if __name__ == "__main__":
    main(*sys.argv[1:])
