package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/aceld/zinx/ziface"
	"github.com/aceld/zinx/zpack"
	"github.com/xtaci/kcp-go"
)

func shards() (data, parity int) {
	if _, err := fmt.Sscanf(*fec, "%d/%d", &data, &parity); err != nil {
		fail("fec: %v", err)
	}
	return data, parity
}

// Go Zinx has a KCP server and no KCP client: its example speaks kcp-go, as this does.
func talkKcp() {
	data, parity := shards()
	conn, err := kcp.DialWithOptions(fmt.Sprintf("127.0.0.1:%d", *port), nil, data, parity)
	if err != nil {
		fail("dial: %v", err)
	}
	conn.SetStreamMode(true)
	conn.SetNoDelay(1, 10, 2, 1)
	conn.SetWindowSize(32, 32)
	kind := ziface.ZinxDataPack
	if *pack == "ltv" {
		kind = ziface.ZinxDataPackOld
	}
	format := zpack.Factory().NewPack(kind)
	go func() {
		for n := 0; n < *count; n++ {
			frame, err := format.Pack(zpack.NewMsgPackage(echoID, payload(n)))
			if err != nil {
				fail("pack: %v", err)
			}
			if _, err := conn.Write(frame); err != nil {
				fail("write: %v", err)
			}
		}
	}()
	conn.SetReadDeadline(time.Now().Add(100 * time.Second))
	for n := 0; n < *count; n++ {
		head := make([]byte, format.GetHeadLen())
		if _, err := io.ReadFull(conn, head); err != nil {
			fail("read head %d: %v", n, err)
		}
		message, err := format.Unpack(head)
		if err != nil {
			fail("unpack %d: %v", n, err)
		}
		body := make([]byte, message.GetDataLen())
		if _, err := io.ReadFull(conn, body); err != nil {
			fail("read body %d: %v", n, err)
		}
		if !bytes.Equal(body, payload(n)) || len(body) < 4 || binary.BigEndian.Uint32(body) != uint32(n) {
			fail("echo %d is wrong: %d bytes", n, len(body))
		}
	}
	time.Sleep(*hold)
	fmt.Printf("ok: %d echoes, 0 heartbeats\n", *count)
}
