// The two ends of streams that go on and on, for the row `streams` of peers.sh. The ports are of 127.0.0.1.
//
//   node benches/streams.mjs origin PORT   sends events for ever, and echoes what comes through a WebSocket
//   node benches/streams.mjs events PORT   reads two hundred streams of events at once
//   node benches/streams.mjs tunnel PORT   sends 512 MiB through a WebSocket and reads them back
//
// The readers print how many bytes came.

import { once } from "node:events";
import http from "node:http";
import { setTimeout as after } from "node:timers/promises";

const STREAMS = 200;
const EVENT = `data: ${"x".repeat(1000)}\n\n`;
const PACE_MS = 20; // 50 KB a second for each stream
const SECONDS = 18;
const TUNNELLED = 512 << 20;
const BLOCK = Buffer.alloc(1 << 16, "y"); // not what a WebSocket's frames look like, of which a proxy knows nothing

const [mode, port] = process.argv.slice(2);
const modes = { origin, events, tunnel };
const bytes = await modes[mode](Number(port));
if (mode !== "origin") {
  console.log(bytes);
  process.exit(0);
}

function origin(port) {
  http.createServer(sendEvents).on("upgrade", echo).listen(port, "127.0.0.1");
}

function sendEvents(_request, response) {
  response.writeHead(200, { "content-type": "text/event-stream" });
  const pace = setInterval(() => response.write(EVENT), PACE_MS);
  response.on("close", () => clearInterval(pace));
}

function echo(_request, socket, begun) {
  socket.on("error", () => socket.destroy());
  socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  socket.unshift(begun);
  socket.pipe(socket);
}

async function events(port) {
  let bytes = 0;
  const count = (answer) => answer.on("data", (data) => (bytes += data.length));
  for (let n = 0; n < STREAMS; n++) http.get({ port, path: "/pass", agent: false }, count);
  await after(SECONDS * 1000);
  return bytes;
}

async function tunnel(port) {
  const headers = {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": 13,
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  };
  const request = http.get({ port, path: "/tunnel", headers, agent: false });
  const [, socket, begun] = await once(request, "upgrade"); // only now may anything be sent through it
  let bytes = begun.length;
  const all = new Promise((resolve) => {
    socket.on("data", (data) => (bytes += data.length) >= TUNNELLED && resolve());
  });
  for (let sent = 0; sent < TUNNELLED; sent += BLOCK.length) {
    if (!socket.write(BLOCK)) await once(socket, "drain");
  }
  await all;
  return bytes;
}
