// A node of centrifuge, the library that centrifugo is made of: centrifuge PORT REDIS.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"

	"github.com/centrifugal/centrifuge"
)

// A user has a channel, as in centrifugo, and all share one more.
const all = "all"

func channel(user string) string {
	return "user:" + user
}

// Without pings: no server of this comparison has a heartbeat.
var silent = centrifuge.PingPongConfig{PingInterval: -1, PongTimeout: -1}

func connecting(_ context.Context, e centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
	return centrifuge.ConnectReply{
		Credentials:    &centrifuge.Credentials{UserID: e.Token},
		Data:           []byte(`"ready"`),
		Subscriptions:  map[string]centrifuge.SubscribeOptions{channel(e.Token): {}, all: {}},
		PingPongConfig: &silent,
	}, nil
}

type message struct {
	To   string          `json:"to"`
	Text json.RawMessage `json:"text"`
}

func main() {
	port, redis := os.Args[1], os.Args[2]
	node, err := centrifuge.New(centrifuge.Config{
		LogLevel:   centrifuge.LogLevelError,
		LogHandler: func(e centrifuge.LogEntry) { log.Print(e.Message, e.Fields) },
	})
	must(err)
	shard, err := centrifuge.NewRedisShard(node, centrifuge.RedisShardConfig{Address: redis})
	must(err)
	broker, err := centrifuge.NewRedisBroker(node, centrifuge.RedisBrokerConfig{
		Shards: []*centrifuge.RedisShard{shard},
	})
	must(err)
	node.SetBroker(broker)
	node.OnConnecting(connecting)
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnMessage(func(e centrifuge.MessageEvent) {
			var sent message
			must(json.Unmarshal(e.Data, &sent))
			to := all
			if sent.To != "" {
				to = channel(sent.To)
			}
			_, err := node.Publish(to, sent.Text)
			must(err)
		})
	})
	must(node.Run())
	http.Handle("/", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{}))
	must(http.ListenAndServe("127.0.0.1:"+port, nil))
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
