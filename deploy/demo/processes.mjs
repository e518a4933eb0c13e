// Starts the two servers on loopback, waits until they are ready, and ends them by their handles.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

// What the real service was measured to take, in milliseconds.
const LATENCIES = {
  "GET /api/v1/doctor": 800,
  "GET /api/v1/doctor/:id": 500,
  "GET /api/v1/appointment/my-appointment": 600,
  "GET /api/v1/appointment": 600,
  "GET /api/v1/patient/:id": 700,
  "GET /api/v1/user/me": 700,
  "GET /api/v1/auth/me": 700,
  "GET /api/v1/meta": 1200,
  "GET /api/v1/specialties": 400,
  "GET /api/v1/review": 900,
  "POST /api/v1/doctor/suggestion": 2000,
};
const READY_MS = 30_000;
// A Redis far away has been connected to by then.
const STORE_MS = 5_000;
// Longer than a drain of idle connections takes; after it a child is killed.
const STOP_MS = 5_000;
const KEPT_LINES = 30;

const children = [];
const folders = [];

export async function startClinic(root, jwtSecret) {
  const env = { PORT: "0", HOST: "127.0.0.1", JWT_SECRET: jwtSecret, ROUTE_LATENCY: JSON.stringify(LATENCIES) };
  const child = start("the clinic", process.execPath, [join(root, "tests/clinic/server.js")], root, env);
  const port = await Promise.race([listening(child), gone(child), timeout(child, READY_MS)]);
  return { url: `http://127.0.0.1:${port}` };
}

export async function startSidecar(root, origin, jwtSecret, program) {
  const [listen, admin] = [`127.0.0.1:${await freePort(8080)}`, `127.0.0.1:${await freePort(9090)}`];
  const env = {
    ORIGIN_URL: origin,
    JWT_SECRET: jwtSecret,
    SIDECACHE_LISTEN: listen,
    SIDECACHE_ADMIN_LISTEN: admin,
    SIDECACHE_LOG: process.env.SIDECACHE_LOG ?? "warn",
  };
  const child = start("sidecache", program, ["run", "--rules", rulesFile(root)], root, env);
  const ready = answers(`http://${admin}/readyz`, child);
  await Promise.race([ready, gone(child), timeout(child, READY_MS)]);
  await storeAnswers(`http://${admin}/readyz`);
  return { url: `http://${listen}`, admin: `http://${admin}` };
}

/** Ends what was started, politely first. */
export async function stopAll() {
  await Promise.all(children.filter(isRunning).map(async ({ process: child }) => {
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await Promise.race([ended, sleep(STOP_MS, undefined, { ref: false })]);
  }));
}
// Whatever way this process ends, nothing of it stays.
process.on("exit", () => {
  for (const { process: child } of children.filter(isRunning)) child.kill("SIGKILL");
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** What those children said last that ended without being asked. */
export function obituaries() {
  return children.filter((child) => !isRunning(child)).map(({ name, process: { exitCode, signalCode }, lines }) =>
    `${name} ended (${signalCode ?? exitCode}):\n${lines.join("\n")}`);
}

const isRunning = ({ process: { exitCode, signalCode } }) => exitCode === null && signalCode === null;

function start(name, program, args, cwd, env) {
  const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  const started = { name, process: child, lines: [], output: createInterface({ input: child.stdout }) };
  const keep = (line) => {
    started.lines.push(line);
    if (started.lines.length > KEPT_LINES) started.lines.shift();
  };
  started.output.on("line", keep);
  createInterface({ input: child.stderr }).on("line", keep);
  children.push(started);
  return started;
}

// A Redis may be shared with others: the demo's answers stay in a namespace of this run, and expire there.
const NAMESPACE = `sidecache-demo-${crypto.randomUUID()}`;

function rulesFile(root) {
  const path = join(root, "rules.toml");
  if (!process.env.REDIS_URL) return path;
  const text = readFileSync(path, "utf8");
  const own = text.replace(/^namespace\s*=.*$/m, `namespace = "${NAMESPACE}"`);
  if (own === text) throw new Error("rules.toml names no namespace to replace");
  const folder = mkdtempSync(join(tmpdir(), "sidecache-demo-"));
  folders.push(folder);
  writeFileSync(join(folder, "rules.toml"), own);
  return join(folder, "rules.toml");
}

function listening({ output }) {
  return new Promise((resolve) => {
    output.on("line", (line) => {
      const port = /^\{"listening":(\d+)\}$/.exec(line)?.[1];
      if (port) resolve(port);
    });
  });
}

async function answers(url, child) {
  while (isRunning(child)) {
    const ok = await fetch(url).then((response) => response.ok, () => false);
    if (ok) return;
    await sleep(50);
  }
}

// Without its store sidecache passes everything on, which is right and shows nothing. The address may hold a password.
async function storeAnswers(url) {
  const until = performance.now() + STORE_MS;
  for (;;) {
    const { store } = await fetch(url).then((response) => response.json());
    if (store === "up") return;
    if (performance.now() > until) throw new Error("the Redis that REDIS_URL names does not answer; unset it to do without one");
    await sleep(50);
  }
}

async function gone(child) {
  const [code] = await Promise.race([once(child.process, "exit"), once(child.process, "error").then(([e]) => [e.message])]);
  throw new Error(`${child.name} ended before it was ready (${code})`);
}

async function timeout(child, milliseconds) {
  await sleep(milliseconds, undefined, { ref: false });
  throw new Error(`${child.name} was not ready after ${milliseconds / 1000} s:\n${child.lines.join("\n")}`);
}

// The usual port if nobody has it, else any.
async function freePort(preferred) {
  for (const port of [preferred, 0]) {
    const server = createServer();
    const found = await new Promise((resolve) => {
      server.once("error", () => resolve(undefined));
      server.listen(port, "127.0.0.1", () => resolve(server.address().port));
    });
    if (found === undefined) continue;
    await new Promise((resolve) => server.close(resolve));
    return found;
  }
  throw new Error("no free port on 127.0.0.1");
}
