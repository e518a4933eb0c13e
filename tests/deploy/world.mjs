// What the checks share: the tools of others, processes that end with their test, and a place for files.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { after } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

export const ROOT = resolve(import.meta.dirname, "../..");
export const DEPLOY = join(ROOT, "deploy");
export const PROGRAM = resolve(process.env.SIDECACHE_BIN ?? join(ROOT, "target/debug/sidecache"));
const DEADLINE_MS = 30_000;

export const read = (...path) => readFileSync(join(ROOT, ...path), "utf8");

/** What is started here ends with its file's tests, also with those that fail, and what is written here goes. */
const endings = [];
after(async () => {
  for (const end of endings.reverse()) await end();
});
export const atEnd = (end) => endings.push(end);

export function folder() {
  const path = mkdtempSync(join(tmpdir(), "sidecache-deploy-"));
  atEnd(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Polls until `check` gives something true; `what` says what was waited for in vain. */
export async function eventually(what, check) {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${DEADLINE_MS / 1000} s: ${what}`);
    await sleep(50);
  }
}

/** Who brings a tool, for those who lack it. */
const PACKAGES = {
  promtool: "prometheus",
  kubectl: "kubernetes-client",
  "systemd-analyze": "systemd",
  "redis-server": "redis-server",
  buildah: "buildah",
  openssl: "openssl",
};

/** Runs a tool to its end: its status and what it said. `null` for a status is a signal. */
export async function run(tool, args, options = {}) {
  try {
    const { stdout, stderr } = await promisify(execFile)(tool, args, { maxBuffer: 64 << 20, ...options });
    return { status: 0, out: stdout, err: stderr };
  } catch (error) {
    if (error.code === "ENOENT") throw new Error(missing(tool));
    return { status: typeof error.code === "number" ? error.code : null, out: error.stdout, err: error.stderr };
  }
}

/** The same where anything but success is a failure. */
export async function succeeds(tool, args, options) {
  const ended = await run(tool, args, options);
  if (ended.status !== 0) throw new Error(`${tool} ${args.join(" ")}: status ${ended.status}\n${ended.out}${ended.err}`);
  return ended;
}

const missing = (tool) =>
  PACKAGES[tool] ? `${tool} is missing: apt-get install ${PACKAGES[tool]}` : `${tool} is missing: \`cargo build --bin sidecache\`, or name one in SIDECACHE_BIN`;

/** A process; `line(words)` is the rest of the next line of its output that holds them. */
export function start(tool, args, options = {}) {
  if (tool.includes("/") && !existsSync(tool)) throw new Error(missing(tool));
  const child = spawn(tool, args, { stdio: ["ignore", "pipe", "inherit"], ...options });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async (words) => {
    for (;;) {
      const { value, done } = await lines.next();
      if (done) throw new Error(`${tool} ended without saying "${words}"`);
      if (value.includes(words)) return value.split(words)[1];
    }
  };
  const stop = async (signal = "SIGKILL") => {
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const exit = once(child, "exit");
    child.kill(signal);
    return (await exit)[0];
  };
  atEnd(stop);
  return { child, line, stop };
}

/** A port of loopback that nobody listens on now. */
export async function freePort() {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address();
  listener.close();
  await once(listener, "close");
  return port;
}

/** A Redis without persistence. */
export async function startRedis(...args) {
  const port = await freePort();
  const server = start("redis-server", ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--dir", folder(), ...args]);
  await server.line("Ready to accept");
  return { port, url: `redis://127.0.0.1:${port}`, stop: server.stop };
}
