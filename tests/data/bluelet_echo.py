import bluelet
def echoer(conn):
    while True:
        data = yield conn.recv(1024)
        if not data:
            break
        yield conn.sendall(data)
bluelet.run(bluelet.server('', 4915, echoer))
