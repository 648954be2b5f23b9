from gevent.queue import Queue

class Connection(IConnection):
    def __init__(self, conn: socket.socket, connID: int, remote_addr: tuple, msgHandler: IMsgHandler):
        self.Conn: socket.socket = conn
        self.ConnID: int = connID
        self.is_closed: bool = False
        self.Remote_Addr: tuple = remote_addr
        self.msgHandler: IMsgHandler = msgHandler
        self.msgQueue: Queue = Queue()

    def SendMsg(self, msgID: int, data: bytes):
        if self.is_closed:
            raise Exception("发送数据时客户端链接被关闭")
        try:
            dp = NewDataPack()
            msg = dp.Pack(NewMessage(msgID, len(data), data))
            self.msgQueue.put(msg)
        except Exception as e:
            print(e)

    def StartWriter(self):
        print("开启写业务")
        while True:
            try:
                if self.is_closed:
                    break
                msg = self.msgQueue.get_nowait()
                self.Conn.send(msg)
            except:
                gevent.sleep(0)
                continue
        print(self.Remote_Addr, "写业务退出")

    def Start(self):
        print("链接开启,ID=", self.ConnID)
        g1 = gevent.spawn(self.StartWriter)
        g2 = gevent.spawn(self.StartReader)
        GlobalGevents.append(g1)
        GlobalGevents.append(g2)
