// A peer written against Go Zinx itself: a server or a client that says in its exit code whether all went as it should.
package main

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aceld/zinx/zconf"
	"github.com/aceld/zinx/zdecoder"
	"github.com/aceld/zinx/ziface"
	"github.com/aceld/zinx/zlog"
	"github.com/aceld/zinx/znet"
	"github.com/aceld/zinx/zpack"
)

var (
	role  = flag.String("role", "client", "server or client")
	port  = flag.Int("port", 0, "port of the server")
	pack  = flag.String("pack", "tlv", "tlv, ltv or htlvcrc")
	count = flag.Int("count", 0, "client: messages to have echoed")
	beat  = flag.Duration("beat", 0, "send the default heartbeat so often; 0: never")
	watch = flag.Int("watch", 0, "client: heartbeats to be seen")
	slice = flag.Bool("slices", false, "server: slices of handlers in place of routers; client: ask for one echo framed by them")
	hold  = flag.Duration("hold", 0, "client: stay so long, and be connected still")
	below = flag.String("transport", "tcp", "tcp, tls, ws or kcp")
	cert  = flag.String("cert", "", "server: file with the certificate for TLS")
	key   = flag.String("key", "", "server: file with its key")
	fec   = flag.String("fec", "0/0", "KCP: data and parity shards of the error correction")
)

const echoID = 1

type echo struct{ znet.BaseRouter }

func (*echo) Handle(request ziface.IRequest) {
	if err := send(request.GetConnection(), request.GetData()); err != nil {
		fail("echo: %v", err)
	}
}

// Under HTLVCRC a message is a whole frame, and so is what is sent.
func send(conn ziface.IConnection, data []byte) error {
	if *pack == "htlvcrc" {
		return conn.Send(data)
	}
	return conn.SendMsg(echoID, data)
}

// Before and behind the echo, in the order of an onion.
func framed(request ziface.IRequest) {
	request.GetConnection().SendMsg(echoID+1, []byte("before"))
	request.RouterSlicesNext()
	request.GetConnection().SendMsg(echoID+1, []byte("behind"))
}

// Every echo must come back whole. A Go client handles each message on a goroutine of its own, in no order.
type echoed struct {
	znet.BaseRouter
	seen  atomic.Int64
	which sync.Map
	done  chan struct{}
}

func (e *echoed) Handle(request ziface.IRequest) {
	data := request.GetData()
	at := 0
	if *pack == "htlvcrc" {
		at = 3
	}
	if len(data) < at+4 {
		fail("an echo of %d bytes", len(data))
	}
	n := int(binary.BigEndian.Uint32(data[at:]))
	if _, twice := e.which.LoadOrStore(n, true); twice || !bytes.Equal(data, payload(n)) {
		fail("echo %d is wrong: %d bytes", n, len(data))
	}
	if int(e.seen.Add(1)) == *count {
		close(e.done)
	}
}

// What arrives, in order. A Go client runs its interceptors before its decoder, on the goroutine that reads.
type arrived struct{ ids chan uint32 }

func (a *arrived) Intercept(chain ziface.IChain) ziface.IcResp {
	if request, ok := chain.Request().(ziface.IRequest); ok && len(request.GetData()) >= 4 {
		a.ids <- binary.BigEndian.Uint32(request.GetData())
	}
	return chain.Proceed(chain.Request())
}

type heard struct {
	znet.BaseRouter
	seen atomic.Int64
	done chan struct{}
}

var heartbeat = regexp.MustCompile(`^heartbeat \[127\.0\.0\.1:\d+->127\.0\.0\.1:\d+\]$`)

func (h *heard) Handle(request ziface.IRequest) {
	if !heartbeat.Match(request.GetData()) {
		fail("heartbeat with the body %q", request.GetData())
	}
	if int(h.seen.Add(1)) == *watch {
		close(h.done)
	}
}

func main() {
	flag.Parse()
	zconf.GlobalObject.LogIsolationLevel = zlog.LogFatal + 1
	zlog.SetLogLevel(zlog.LogFatal + 1)
	// One second without a sign of life; one worker a connection, so that its messages stay in order.
	zconf.GlobalObject.HeartbeatMax = 1
	zconf.GlobalObject.WorkerPoolSize = 1
	if *role == "server" {
		serve()
	} else if *below == "kcp" {
		talkKcp()
	} else {
		talk()
	}
}

func serve() {
	zconf.GlobalObject.Host = "127.0.0.1"
	zconf.GlobalObject.TCPPort = *port
	zconf.GlobalObject.RouterSlicesMode = *slice
	switch *below {
	case "tls":
		zconf.GlobalObject.CertFile, zconf.GlobalObject.PrivateKeyFile = *cert, *key
	case "ws":
		zconf.GlobalObject.Mode, zconf.GlobalObject.WsPort = "websocket", *port
	case "kcp":
		zconf.GlobalObject.Mode, zconf.GlobalObject.KcpPort = "kcp", *port
		zconf.GlobalObject.KcpFecDataShards, zconf.GlobalObject.KcpFecParityShards = shards()
	}
	server := znet.NewServer()
	zlog.SetLogLevel(zlog.LogFatal + 1)
	switch *pack {
	case "ltv":
		server.SetPacket(zpack.Factory().NewPack(ziface.ZinxDataPackOld))
		server.SetDecoder(zdecoder.NewLTV_Little_Decoder())
	case "htlvcrc":
		server.SetDecoder(zdecoder.NewHTLVCRCDecoder())
	}
	if *slice {
		server.AddRouterSlices(echoID, framed, (&echo{}).Handle)
	} else {
		server.AddRouter(echoID, &echo{})
	}
	if *beat > 0 {
		server.StartHeartBeat(*beat)
	}
	server.Serve()
}

func talk() {
	kinds := map[string]func(string, int, ...znet.ClientOption) ziface.IClient{
		"tcp": znet.NewClient, "tls": znet.NewTLSClient, "ws": znet.NewWsClient,
	}
	client := kinds[*below]("127.0.0.1", *port)
	switch *pack {
	case "ltv":
		client.SetPacket(zpack.Factory().NewPack(ziface.ZinxDataPackOld))
		client.SetDecoder(zdecoder.NewLTV_Little_Decoder())
	case "htlvcrc":
		client.SetDecoder(zdecoder.NewHTLVCRCDecoder())
	}
	replies := &echoed{done: make(chan struct{})}
	beats := &heard{done: make(chan struct{})}
	connected := make(chan ziface.IConnection, 1)
	client.SetOnConnStart(func(conn ziface.IConnection) { connected <- conn })
	client.AddRouter(echoID, replies)
	if *beat > 0 {
		client.StartHeartBeat(*beat)
	} else {
		client.AddRouter(ziface.HeartBeatDefaultMsgID, beats)
	}
	order := &arrived{ids: make(chan uint32, 64)}
	if *slice {
		client.AddInterceptor(order)
	}
	lost := make(chan struct{})
	client.SetOnConnStop(func(ziface.IConnection) { close(lost) })
	client.Start()
	conn := wait(connected, "a connection")
	for n := 0; n < *count; n++ {
		if err := send(conn, payload(n)); err != nil {
			fail("send: %v", err)
		}
	}
	if *count > 0 {
		wait(replies.done, "all echoes")
	}
	for at := 0; *slice && at < *count; at++ {
		for _, expected := range []uint32{echoID + 1, echoID, echoID + 1} {
			if id := wait(order.ids, "an answer of the slice"); id != expected {
				fail("message %d in place of %d", id, expected)
			}
		}
	}
	if *watch > 0 {
		wait(beats.done, "heartbeats")
	}
	select {
	case <-lost:
		fail("the connection is lost")
	case <-time.After(*hold):
	}
	fmt.Printf("ok: %d echoes, %d heartbeats\n", replies.seen.Load(), beats.seen.Load())
}

// The number, and up to 3000 bytes behind it; under HTLVCRC the frame of one, with up to 250 bytes.
func payload(n int) []byte {
	if *pack == "htlvcrc" {
		body := append(binary.BigEndian.AppendUint32(nil, uint32(n)), bytes.Repeat([]byte{byte(n)}, n*37%250)...)
		frame := append([]byte{0xa2, echoID, byte(len(body))}, body...)
		return append(frame, zdecoder.GetCrC(frame)...)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(n)), bytes.Repeat([]byte{byte(n)}, n*37%3001)...)
}

func wait[T any](on <-chan T, what string) T {
	select {
	case value := <-on:
		return value
	case <-time.After(20 * time.Second):
		fail("no %s within 20 s", what)
	}
	panic("unreachable")
}

func fail(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
	os.Exit(1)
}
