from ziface.iconnection import IConnection
from abc import ABC, abstractmethod

class IConManager(ABC):
    @abstractmethod
    def Add(self, Conn: IConnection):
        pass

    @abstractmethod
    def Remove(self, Conn: IConnection):
        pass

    @abstractmethod
    def Get(self, connID: int) -> IConnection:
        pass

    @abstractmethod
    def Len(self) -> int:
        pass

    @abstractmethod
    def ClearConn(self):
