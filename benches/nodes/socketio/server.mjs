// A node of socket.io with its Redis adapter: server.mjs PORT REDIS ADAPTER. The adapter is `pubsub` or `sharded`.
import { createServer } from "node:http";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const [port, redis, adapter] = process.argv.slice(2);
const publisher = createClient({ url: redis });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

const http = createServer();
const io = new Server(http, {
  adapter: (adapter === "sharded" ? createShardedAdapter : createAdapter)(publisher, subscriber),
  transports: ["websocket"],
  // An hour: no server of this comparison has a heartbeat.
  pingInterval: 3_600_000,
});

// A user has a room, and all share one more.
io.on("connection", async (socket) => {
  socket.on("push", (to, text) => io.to(`user:${to}`).emit("heard", text));
  socket.on("all", (text) => io.to("all").emit("heard", text));
  await socket.join([`user:${socket.handshake.auth.user}`, "all"]);
  socket.emit("ready");
});
http.listen(Number(port), "127.0.0.1");
