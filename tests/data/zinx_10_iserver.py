    @abstractmethod
    def SetOnConnStart(self, cb):
        pass

    @abstractmethod
    def SetOnConnStop(self, cb):
        pass

    @abstractmethod
    def CallOnConnStart(self, conn: IConnection):
        pass

    @abstractmethod
    def CallOnConnStop(self, conn: IConnection):
        pass
