        self.OnConnStart = None
        self.OnConnStop = None

    def SetOnConnStart(self, cb):
        self.OnConnStart = cb

    def SetOnConnStop(self, cb):
        self.OnConnStop = cb

    def CallOnConnStart(self, conn: IConnection):
        if self.OnConnStart:
            print("---> CallOnConnStart....")
            self.OnConnStart(conn)

    def CallOnConnStop(self, conn: IConnection):
        if self.OnConnStop:
            print("---> CallOnConnStart....")
            self.OnConnStop(conn)
