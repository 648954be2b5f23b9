#!/usr/bin/env python3
"""Draws the diagrams of the documentation, in English here and in Chinese in zh/. performance.svg is by benches/chart.py.

Usage: docs/img/draw.py, from anywhere. Python's standard library only. The colours follow the reader's light or dark mode."""
import pathlib
import sys
from xml.sax.saxutils import escape

HERE = pathlib.Path(__file__).resolve().parent
STYLE = """
  .page { fill: #ffffff } .lane { fill: #f4f6f8; stroke: #c8ced4 } .box { fill: #ffffff; stroke: #57606a }
  .yours { fill: #fff3d6; stroke: #9a6700 } .rest { fill: #e6f2ff; stroke: #3b78b8 } .redis { fill: #fde8e6; stroke: #b3423a }
  .box, .yours, .rest, .redis { stroke-width: 1.5 }
  text { font: 14px sans-serif; fill: #1f2328; text-anchor: middle } .small { font-size: 12px; fill: #57606a }
  .left { text-anchor: start } .right { text-anchor: end } .head { font-size: 13px; font-weight: bold }
  path { fill: none; stroke: #57606a; stroke-width: 1.5 } .dash { stroke-dasharray: 5 4 } polygon { fill: #57606a }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } .lane { fill: #161b22; stroke: #30363d } .box { fill: #21262d; stroke: #8b949e }
    .yours { fill: #3d2e00; stroke: #d29922 } .rest { fill: #0f2d4d; stroke: #58a6ff } .redis { fill: #47201d; stroke: #f47067 }
    text { fill: #e6edf3 } .small { fill: #a9b3bd } path { stroke: #a9b3bd } polygon { fill: #a9b3bd }
  }"""


class Picture:
    """What is drawn, in one of the two languages: a text is a pair, or the same in both."""

    def __init__(self, is_chinese, width, height, title):
        self.is_chinese, self.width, self.height = is_chinese, width, height
        self.out = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
            f"<title>{escape(self.say(title))}</title>",
            f"<style>{STYLE}\n</style>",
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto-start-reverse">'
            '<polygon points="0,0 8,4 0,8"/></marker></defs>',
            f'<rect class="page" width="{width}" height="{height}"/>',
        ]

    def say(self, text):
        return text if isinstance(text, str) else text[self.is_chinese]

    def text(self, x, y, text, kind=""):
        self.out.append(f'<text class="{kind}" x="{x}" y="{y}">{escape(self.say(text))}</text>')

    def lane(self, x, y, width, height, text=""):
        self.out.append(f'<rect class="lane" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>')
        self.text(x + 12, y + 20, text, "small left")

    def box(self, x, y, width, height, name, *lines, kind="box"):
        self.out.append(f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>')
        middle, top = x + width / 2, y + height / 2 + 5 - 8.5 * len(lines)
        self.text(middle, top, name)
        for n, line in enumerate(lines):
            self.text(middle, top + 18 + 16 * n, line, "small")

    def arrow(self, *points, both=False, dash=False):
        ends = 'marker-end="url(#arrow)"' + (' marker-start="url(#arrow)"' if both else "")
        way = " L".join(f"{x},{y}" for x, y in points)
        self.out.append(f'<path class="{"dash" if dash else ""}" {ends} d="M{way}"/>')

    def key(self, x, y, *kinds):
        """The legend: what each colour means."""
        for kind, text, width in kinds:
            self.out.append(f'<rect class="{kind}" x="{x}" y="{y}" width="16" height="14" rx="3"/>')
            self.text(x + 23, y + 12, text, "small left")
            x += width

    def write(self, name):
        target = HERE / ("zh" if self.is_chinese else "") / f"{name}.svg"
        target.write_text("\n".join(self.out) + "\n</svg>\n", encoding="utf-8")


YOURS = ("your code", "你的代码")


def data_path(is_chinese):
    p = Picture(is_chinese, 860, 590, ("The data path: from the socket to your handler and back", "数据路径：从套接字到你的处理函数，再回来"))
    p.box(20, 20, 110, 56, ("listener", "监听"), ("socket", "套接字"))
    p.box(190, 20, 150, 56, "acceptor", ("a thread", "单独的线程"))
    p.box(400, 20, 190, 56, "connection", ("state, properties, reason", "状态、属性、关闭原因"))
    p.arrow((130, 48), (188, 48))
    p.arrow((340, 48), (398, 48))
    p.arrow((495, 76), (495, 118))
    p.lane(150, 120, 690, 210, ("one connection: its reader coroutine", "一个连接：它的 reader 协程"))
    p.box(20, 180, 110, 110, ("socket", "套接字"), ("one descriptor", "一个描述符"))
    p.box(175, 160, 120, 56, "reader", ("passes of bytes", "一遍遍读字节"))
    p.box(325, 160, 120, 56, "frames", ("zpack: messages", "zpack：切出消息"))
    p.box(475, 160, 140, 56, "dispatch", ("table of routers", "路由表"))
    p.box(660, 160, 160, 110, ("your handler", "你的处理函数"), ("pre, handle, post", "pre、handle、post"), kind="yours")
    p.box(475, 255, 140, 56, "outbox", ("bounded queue", "有界发送队列"))
    p.box(175, 255, 270, 56, "writer", ("one write for all that is queued", "队列里的全部消息，一次写出"))
    p.arrow((130, 192), (173, 188))
    p.arrow((295, 188), (323, 188))
    p.arrow((445, 188), (473, 188))
    p.arrow((615, 188), (658, 188))
    p.arrow((740, 270), (740, 283), (617, 283))
    p.text(752, 300, "send_msg", "small left")
    p.arrow((475, 283), (447, 283))
    p.arrow((175, 283), (132, 272))
    p.lane(20, 350, 820, 150, ("a worker: a thread that runs coroutines, each on its own stack", "一个工作线程：在它上面运行协程，每个协程有自己的栈"))
    p.box(40, 386, 240, 94, ("idle connections", "空闲连接"), ("no stack, about 800 bytes each", "没有栈，每个约 800 字节"), ("epoll says which has input", "由 epoll 得知谁有输入"), kind="rest")
    p.box(350, 386, 200, 94, ("carrier", "载体协程（carrier）"), ("lends its stack to one", "把栈借给一个有输入的"), ("connection with input", "连接，直到它又空闲"))
    p.box(620, 386, 200, 94, ("handlers that wait", "在等待的处理函数"), ("each keeps its stack; another", "各自占着栈；"), ("carrier serves the others", "别的连接由另一个载体协程服务"), kind="yours")
    p.arrow((280, 418), (348, 418))
    p.arrow((350, 448), (282, 448))
    p.arrow((550, 418), (618, 418))
    p.arrow((620, 448), (552, 448))
    p.text(315, 410, ("input", "有输入"), "small")
    p.text(315, 466, ("at rest", "空闲"), "small")
    p.text(585, 410, ("waits", "等待"), "small")
    p.text(585, 466, ("goes on", "继续"), "small")
    p.key(20, 520, ("box", ("a part of zinx", "zinx 的一个部分"), 170), ("yours", YOURS, 130), ("rest", ("without a stack", "不占用栈"), 170))
    p.text(20, 566, ("Arrows above: the path of a message. Arrows below: how a connection gets a stack and gives it back.", "上面的箭头：消息走的路。下面的箭头：连接怎样借到栈，又怎样还回去。"), "small left")
    p.write("data-path")


def stop_sequence(is_chinese):
    p = Picture(is_chinese, 740, 545, ("The stop sequence: of a server, and of each connection", "停止流程：服务器的，和每个连接的"))
    p.text(160, 28, ("the server", "服务器"), "head")
    p.text(560, 28, ("each connection", "每个连接"), "head")
    server = [
        (("stop asked", "请求停止"), ("signal, or stop()", "信号，或 stop()")),
        (("listener closed", "关闭监听"), ("the acceptor ends", "acceptor 结束")),
        (("connections asked", "请求各连接停止"), ("each does the steps on the right", "每个连接走完右边的步骤")),
        (("workers and sweeper end", "工作协程和 sweeper 结束"), ("their queues are empty", "它们的队列已空")),
        (("serve returns", "serve 返回"), ("Ok, or Forced { open }", "Ok，或 Forced { open }")),
    ]
    for n, (name, line) in enumerate(server):
        p.box(40, 45 + 86 * n, 240, 52, name, line)
        if n:
            p.arrow((160, 11 + 86 * n), (160, 43 + 86 * n))
    connection = [
        (("no more is read", "不再读取"), ("frames begun are dropped", "没收完的帧丢弃"), "box"),
        (("what was read is handled", "处理完已经读到的"), ("your handlers finish", "等你的处理函数返回"), "yours"),
        (("stop hook", "断开钩子"), ("may still send", "还能发送"), "yours"),
        (("queue sent", "排空发送队列"), ("within DrainMs", "在 DrainMs 之内"), "box"),
        (("end of stream sent", "发送 FIN"), "shutdown(Write)", "box"),
        (("input thrown away", "继续读，读到的丢弃"), ("until the peer ends, at most 1 s silent", "直到对端也结束，最多静默 1 秒"), "box"),
        (("socket closed, place free", "关闭套接字，空出名额"), ("what was not sent is counted", "没发出去的计数"), "box"),
    ]
    for n, (name, line, kind) in enumerate(connection):
        p.box(420, 45 + 62 * n, 280, 46, name, line, kind=kind)
        if n:
            p.arrow((560, 29 + 62 * n), (560, 43 + 62 * n))
    p.arrow((280, 243), (350, 243), (350, 68), (418, 68))
    p.arrow((420, 440), (350, 440), (350, 329), (282, 329))
    p.text(370, 490, ("second signal, or DrainMs over: what is still open is cut off, named in the log, and counted", "第二次信号，或到了 DrainMs：还开着的强制断开，写进日志并计数"), "small")
    p.key(40, 512, ("box", ("the server does it", "由服务器完成"), 170), ("yours", YOURS, 130))
    p.write("stop-sequence")


def house(is_chinese):
    p = Picture(is_chinese, 960, 690, ("The house: the folders of src/, in the order of a frame", "代码布局：src/ 的文件夹，按一帧经过的顺序"))
    p.lane(20, 20, 920, 500, "src/znet")
    p.box(40, 56, 560, 48, "server", ("what a program builds, starts and stops; what its connections share", "程序创建、启动、停止的东西，以及各连接共用的"))
    p.box(630, 56, 290, 48, "admin", ("a server seen from outside, over HTTP", "从外面经 HTTP 查看和操作服务器"))
    top = 142
    p.box(40, top, 130, 66, "1 enter", ("accepted, or dialled:", "接受，或主动连接："), ("a place for the peer", "给对端一个名额"))
    p.box(210, top, 130, 228, "2 transport", ("what carries bytes:", "承载字节："), "TCP, TLS,", "WebSocket, KCP")
    p.box(380, top, 130, 66, "3 conn", ("the connection:", "连接："), ("state, calls on it", "状态，和它的方法"))
    p.box(550, top, 130, 66, "4 read", ("bytes of the peer", "从对端的字节"), ("to messages", "到消息"))
    p.box(720, top, 80, 66, "5 route", ("by its", "按消息"), ("message id", "id 分派"))
    p.box(840, top, 80, 228, ("handler", "处理函数"), ("yours", "你写的"), kind="yours")
    for left, right in ((170, 208), (340, 378), (510, 548), (680, 718), (800, 838)):
        p.arrow((left, top + 33), (right, top + 33))
    p.box(380, 229, 130, 58, "8 cluster", ("on other servers too", "也在别的服务器上"))
    p.box(550, 229, 130, 58, "7 people", ("users and groups", "用户和组"))
    p.box(720, 229, 80, 58, "6 talk", ("asks the", "向对端"), ("peer", "提问"))
    p.arrow((838, 258), (802, 258), both=True)
    p.arrow((718, 258), (682, 258), both=True, dash=True)
    p.arrow((548, 258), (512, 258), both=True, dash=True)
    p.box(550, 312, 250, 58, "9 write", ("a bounded queue, then one write for all", "有界队列，然后一次写出全部"))
    p.arrow((840, 341), (802, 341))
    p.arrow((550, 341), (342, 341))
    p.box(40, 312, 130, 58, ("the peer", "对端"), ("its socket", "它的套接字"), kind="rest")
    p.arrow((105, 312), (105, 210))
    p.arrow((170, 341), (208, 341), both=True)
    p.box(210, 420, 300, 66, "10 resume", ("the socket is lost, the connection is not:", "套接字断了，连接还在："), ("the peer comes back, nothing is missing", "对端回来，什么都没少"))
    p.box(550, 420, 250, 66, "11 leave", ("why a connection ends, and in which", "连接为什么结束，按什么顺序；"), ("order; heartbeats and timeouts", "心跳和超时"))
    p.arrow((275, 370), (275, 418), both=True)
    p.text(284, 399, ("lost, back", "断开、回来"), "small left")
    p.arrow((510, 453), (548, 453))
    p.arrow((445, 208), (445, 219), (361, 219), (361, 395), (675, 395), (675, 418), dash=True)
    p.text(684, 410, ("the end of a connection", "连接的结束"), "small left")
    p.lane(20, 540, 920, 84, ("what znet uses; only green uses the crate may", "znet 用到的；只有 green 使用 crate may"))
    for x, width, name, line in (
        (40, 200, "zpack", ("bytes to messages and back", "字节与消息互相转换")),
        (260, 170, "ziface", ("the contracts: traits", "接口约定：trait")),
        (450, 170, "zconf", ("the configuration", "配置")),
        (640, 280, "green", ("coroutines, sockets, timers", "协程、套接字、定时")),
    ):
        p.box(x, 566, width, 46, name, line)
    p.key(20, 640, ("box", ("a folder", "一个文件夹"), 120), ("yours", YOURS, 120), ("rest", ("outside of the program", "程序之外"), 190))
    p.text(20, 676, ("Numbers: the order in which to read. Solid arrows: the path of a frame. Dashed arrows: a path that is taken at times only.", "数字：阅读顺序。实线箭头：一帧走的路。虚线箭头：只在有些时候才走。"), "small left")
    p.write("house")


def life(is_chinese):
    p = Picture(is_chinese, 900, 640, ("A connection's life: states and hooks", "连接的一生：状态和钩子"))
    p.box(30, 40, 150, 58, ("accepted", "已接受"), ("has one of MaxConn", "占一个 MaxConn 名额"))
    p.box(240, 40, 170, 58, ("handshake", "握手"), ("TLS, WebSocket, PROXY", "TLS、WebSocket、PROXY"))
    p.box(470, 40, 170, 58, ("start hook", "建立钩子"), "set_on_conn_start", kind="yours")
    p.arrow((180, 69), (238, 69), dash=True)
    p.arrow((410, 69), (468, 69))
    p.arrow((105, 98), (105, 118), (440, 118), (440, 84), (468, 84))
    p.text(272, 113, ("plain TCP, KCP: no handshake", "普通 TCP、KCP：没有握手"), "small")
    p.lane(30, 140, 610, 148, ("open: is_alive, get_close_reason is None", "打开：is_alive，get_close_reason 为 None"))
    p.box(50, 176, 160, 90, ("at rest", "空闲"), ("waits for input", "等待输入"), ("no stack", "不占用栈"), kind="rest")
    p.box(272, 176, 150, 90, ("handles", "处理消息"), ("on a carrier's stack:", "在载体协程的栈上："), ("your handlers", "你的处理函数"), kind="yours")
    p.box(484, 176, 136, 90, ("a handler waits", "处理函数等待"), ("call, sleep, room", "call、sleep、空位"), ("it keeps the stack", "它占着栈"), kind="yours")
    p.arrow((555, 98), (555, 128), (347, 128), (347, 174))
    p.arrow((210, 206), (270, 206))
    p.arrow((272, 238), (212, 238))
    p.arrow((422, 206), (482, 206))
    p.arrow((484, 238), (424, 238))
    p.text(240, 199, ("input", "输入"), "small")
    p.text(240, 256, ("done", "读空"), "small")
    p.box(700, 176, 180, 90, ("away", "掉线"), ("is_away: no socket;", "is_away：没有套接字，"), ("sends are kept", "发送的消息留着"), kind="rest")
    p.arrow((640, 206), (698, 206))
    p.arrow((700, 238), (642, 238))
    p.text(669, 199, ("lost", "断开"), "small")
    p.text(669, 256, ("back", "回来"), "small")
    p.text(790, 166, ("with ResumeMs", "设了 ResumeMs"), "small")
    p.lane(30, 330, 850, 190, ("closing: get_close_reason says why, context().is_done() is true", "正在关闭：get_close_reason 说明原因，context().is_done() 为 true"))
    p.arrow((130, 288), (130, 328))
    p.text(140, 316, ("the peer ends, stop(), a timeout, a bad frame, a panic, the server stops", "对端结束、stop()、超时、坏帧、panic、服务器停止"), "small left")
    p.arrow((790, 266), (790, 328), dash=True)
    p.text(780, 300, ("not back in time", "没有及时回来"), "small right")
    p.box(50, 374, 150, 64, ("handles the rest", "处理余下的"), ("what has been read", "已经读到的消息"), kind="yours")
    p.box(252, 374, 200, 64, ("stop hook, callbacks", "断开钩子、关闭回调"), ("set_on_conn_stop; can send;", "set_on_conn_stop；还能发送，"), ("still logged in, in its groups", "仍是登录状态，仍在组里"), kind="yours")
    p.box(504, 374, 160, 64, ("drains its queue", "排空发送队列"), ("within DrainMs; sends", "在 DrainMs 之内；"), ("return an error", "再发送会返回错误"))
    p.box(716, 374, 146, 64, ("end of stream", "发送 FIN"), ("waits for the peer's,", "等对端也结束，"), ("at most 1 s silent", "最多静默 1 秒"))
    for left, right in ((200, 250), (452, 502), (664, 714)):
        p.arrow((left, 406), (right, 406))
    p.arrow((125, 492), (352, 492), (352, 440), dash=True)
    p.arrow((352, 492), (789, 492), (789, 536), dash=True)
    p.text(140, 484, ("abort(), a failed socket", "abort()、套接字故障"), "small left")
    p.text(570, 484, ("then without draining", "之后不再排空"), "small")
    p.arrow((840, 438), (840, 536))
    p.box(660, 538, 220, 56, ("closed", "已关闭"), ("wait_closed returns, place free", "wait_closed 返回，名额空出"))
    p.key(30, 548, ("box", ("zinx does it", "由 zinx 完成"), 130), ("yours", YOURS, 110), ("rest", ("without a stack", "不占用栈"), 150))
    p.text(30, 592, ("Solid arrows: the usual way. Dashed arrows: only in the case that is named.", "实线箭头：通常的路。虚线箭头：只在注明的情况下。"), "small left")
    p.text(30, 612, ("Each hook runs once per connection, in order, whatever ends it.", "不管因为什么结束，每个钩子在一个连接上只运行一次，按这个顺序。"), "small left")
    p.write("life")


def cluster(is_chinese):
    p = Picture(is_chinese, 900, 610, ("A cluster of two nodes: what goes where", "两个节点的集群：什么走哪条路"))
    for x, name, uid in ((30, "chat-1", "ann"), (620, "chat-2", "bob")):
        p.lane(x, 40, 250, 400, ("node ", "节点 ")[is_chinese] + name)
        p.box(x + 20, 76, 210, 64, ("your program", "你的程序"), "login, push, broadcast, run_on", kind="yours")
        p.box(x + 20, 176, 210, 80, ("of this node alone", "只属于本节点"), ("connections, their queues,", "连接和它们的发送队列，"), ("which of them are in a group", "其中哪些在组里"))
        p.box(x + 20, 292, 210, 64, ("reads its own stream", "读自己的流"), ("XREAD, many entries at once", "XREAD，一次读多条"))
        p.arrow((x + 125, 140), (x + 125, 174), both=True)
        p.arrow((x + 125, 292), (x + 125, 258))
        p.text(x + 125, 384, ("renews its lease every 5 s", "每 5 秒续一次租约"), "small")
        p.text(x + 125, 404, ("NodeName: ", "NodeName：")[is_chinese] + name, "small")
        p.box(x + 65, 480, 120, 50, (f"client of {uid}", f"{uid} 的客户端"), kind="rest")
        p.arrow((x + 125, 480), (x + 125, 442), both=True)
    p.lane(340, 40, 220, 400, ("one Redis", "一个 Redis"))
    p.text(450, 430, ("keys begin with ClusterPrefix", "键以 ClusterPrefix 开头"), "small")
    for y, key, *lines in (
        (76, "nodes, n:NODE", ("names; leases of 15 s", "节点名；15 秒的租约")),
        (168, "u:{USER}", ("logins: node, connection", "登录：节点、连接"),),
        (260, "s:chat-1", ("what others send to chat-1", "别的节点发给 chat-1 的")),
        (352, "s:chat-2", ("what others send to chat-2", "别的节点发给 chat-2 的")),
    ):
        p.box(356, y, 188, 64, key, *lines, kind="redis")
    p.arrow((260, 108), (320, 108), (320, 200), (354, 200))
    p.arrow((354, 292), (262, 318))
    p.arrow((250, 140), (306, 140), (306, 392), (354, 392))
    p.arrow((640, 108), (580, 108), (580, 200), (546, 200))
    p.arrow((546, 392), (600, 392), (600, 330), (638, 330))
    p.arrow((650, 140), (594, 140), (594, 280), (546, 280))
    p.arrow((280, 92), (354, 92))
    p.arrow((620, 92), (546, 92))
    for left, right, y, text in (
        (300, 600, 86, ("lease", "租约")),
        (296, 604, 123, ("login", "登录")),
        (323, 575, 385, ("push", "推送")),
        (326, 611, 292, ("read", "读")),
    ):
        p.text(left, y, text, "small")
        p.text(right, {385: 273, 292: 323}.get(y, y), text, "small")
    p.key(30, 556, ("box", ("zinx", "zinx"), 80), ("yours", YOURS, 110), ("redis", ("in Redis", "在 Redis 里"), 110), ("rest", ("outside", "程序之外"), 110))
    p.text(30, 594, ("One script in Redis finds the user's nodes and puts the message into their streams. No node connects to another node.", "Redis 里的一个脚本找到用户所在的节点，把消息放进它们的流。节点之间不直接连接。"), "small left")
    p.write("cluster")


if __name__ == "__main__":
    for draw in (data_path, stop_sequence, house, life, cluster):
        for language in (False, True):
            draw(language)
    print(f"wrote the diagrams of {HERE}", file=sys.stderr)
