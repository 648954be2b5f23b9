class Server(IServer):
    def __init__(self, name: str, ip: str, port: int,
                 family: socket.AddressFamily = socket.AF_INET,
                 socket_kind: socket.SocketKind = socket.SOCK_STREAM):
        self.name: str = name
        self.family: socket.AddressFamily = family
        self.socket_kind: socket.SocketKind = socket_kind
        self.ip: str = ip
        self.port: int = port
        self.msgHandler: IMsgHandler = NewMsgHandler()
        self.connManager: IConManager = NewConnManager()

    def GetConnMgr(self) -> IConManager:
        return self.connManager

    def InitTCP(self):
        with socket.socket(self.family, self.socket_kind) as tcp:
            tcp.bind((self.ip, self.port))
            tcp.listen(128)
            print("[启动] %s服务启动成功,监听中......" % self.name)
            cid: int = 0
            while True:
                print("开启接收")
                remote_socket, remote_addr = tcp.accept()
                if self.connManager.Len() >= GlobalObject.MaxConn:
                    remote_socket.close()
                    continue
                dealConn = NewConnection(self, remote_socket, cid, remote_addr, self.msgHandler)
                cid += 1
                g2 = gevent.spawn(dealConn.Start())
                GlobalGevents.append(g2)

    def Stop(self):
        print("服务停止")
        self.connManager.ClearConn()
