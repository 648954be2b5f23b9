    def Start(self):
        print("链接开启,ID=", self.ConnID)
        g1 = gevent.spawn(self.StartWriter)
        g2 = gevent.spawn(self.StartReader)
        GlobalGevents.append(g1)
        GlobalGevents.append(g2)
        self.TcpServer.CallOnConnStart(self)

    def Stop(self):
        print("链接关闭,ID=", self.ConnID)
        if self.is_closed:
            return
        self.is_closed = True

        self.TcpServer.CallOnConnStop(self)
        self.Conn.close()
        self.TcpServer.GetConnMgr().Remove(self)
