import selectors,socket
sel=selectors.DefaultSelector()
def accpect(sock,mask):
    conn,addr=sock.accept()
    print("accept:",conn,"from:",addr)
    conn.setblocking(False)
    sel.register(fileobj=conn,events=selectors.EVENT_READ,data=read)
def read(conn,mask):
    data=conn.recv(1024)
    if data:
        print("recv data:",data,"conn:",conn)
        conn.send(data)
    else:
        print("close:",conn)
        sel.unregister(fileobj=conn)
        conn.close()
server=socket.socket()
server.bind(("0.0.0.0",9999))
server.listen(10000)
server.setblocking(False)
sel.register(fileobj=server,events=selectors.EVENT_READ,data=accpect)
while True:
    events=sel.select()
    print("已经注册sel数量:")
    for key,mask in events:
        callback=key.data
        callback(key.fileobj,mask)
