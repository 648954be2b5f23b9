class Connection(IConnection):
    def __init__(self, tcp_server: IServer, conn: socket.socket, connID: int, remote_addr: tuple, msgHandler: IMsgHandler):
        self.TCPServer = tcp_server
        self.Conn: socket.socket = conn
        self.ConnID: int = connID
        self.is_closed: bool = False
        self.Remote_Addr: tuple = remote_addr
        self.msgHandler: IMsgHandler = msgHandler
        self.msgQueue: Queue = Queue()

def NewConnection(tcp_server: IServer, conn: socket.socket, connID: int, remote_addr: tuple, msgHandler: IMsgHandler) -> IConnection:
    c = Connection(tcp_server, conn, connID, remote_addr, msgHandler)
    c.TcpServer.GetConnMgr().Add(c)
    return c

    def Stop(self):
        print("链接关闭,ID=", self.ConnID)
        if self.is_closed:
            return
        self.is_closed = True
        self.Conn.close()
        self.TcpServer.GetConnMgr().Remove(self)
