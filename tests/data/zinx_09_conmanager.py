from typing import Dict, Optional

from ziface.iconManager import IConManager
from ziface.iconnection import IConnection


class ConManager(IConManager):
    def __init__(self):
        self.connections: Dict[int, IConnection] = {}

    def Add(self, Conn: IConnection):
        self.connections[Conn.GetConnID()] = Conn
        print("链接添加至链接管理成功,当前数量 = ", self.Len())

    def Remove(self, Conn: IConnection):
        del self.connections[Conn.GetConnID()]
        print("链接移除成功ConnID=", Conn.GetConnID(), ",当前数量 = ", self.Len())

    def Get(self, connID: int) -> Optional[IConnection]:
        if connID in self.connections.keys():
            return self.connections[connID]
        return None

    def Len(self) -> int:
        return len(self.connections)

    def ClearConn(self):
        keys = self.connections.copy().keys()
        for key in keys:
            if key not in self.connections.keys():
                continue
            self.connections[key].Stop()
            try:
                del self.connections[key]
            except:
                continue
        print("清除所有链接: 当前数量 = ", self.Len())


def NewConnManager() -> IConManager:
    cm = ConManager()
    return cm
