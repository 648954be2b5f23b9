import sys

sys.path.append("../../")
from znet.server import NewServer
from znet.router import BaseRouter
from ziface.irequest import IRequest


class PingRouter(BaseRouter):
    def __init__(self):
        super().__init__()

    def Handle(self, request: IRequest):
        try:
            print("调用Handle")
            print(request.GetData())
            request.GetConnection().SendMsg(1, "ping\n".encode("GB2312"))
            request.GetConnection().SendMsg(1, request.GetData())
        except Exception as e:
            print("ping异常", e)


def ConnectionStart(con):
    print("======Start========", con.GetConnID())


def ConnectionStop(con):
    print("======Stop========", con.GetConnID())


if __name__ == '__main__':
    server = NewServer()
    server.AddRouter(1, PingRouter())
    server.SetOnConnStart(ConnectionStart)
    server.SetOnConnStop(ConnectionStop)
    server.Serve()
