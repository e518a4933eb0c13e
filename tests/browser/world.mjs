// A world for the browser: a sidecar as a process of its own before a small origin, and a real Redis
// where one is wanted. Everything is on loopback, at free ports.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { createServer as createListener } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { chromium } from "playwright-core";

const ROOT = resolve(import.meta.dirname, "../..");
const PROGRAM = resolve(process.env.SIDECACHE_BIN ?? join(ROOT, "target/debug/sidecache"));
const DEADLINE_MS = 30_000;

/** What is started here ends with this process, whatever way that ends. */
const children = new Set();
process.on("exit", () => children.forEach((child) => child.kill("SIGKILL")));

/** Polls until `check` gives something true; `what` says what was waited for in vain. What takes `times` as long may. */
export async function eventually(what, check, times = 1) {
  const end = Date.now() + times * DEADLINE_MS;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${(times * DEADLINE_MS) / 1000} s: ${what}`);
    await sleep(50);
  }
}

/** Chromium as Debian has it, without a window. */
export async function startBrowser() {
  const places = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
  const executablePath = places.find((place) => place && existsSync(place));
  if (!executablePath) throw new Error("Chromium is missing: `apt-get install chromium`, or name one in CHROMIUM");
  // Its sandbox does not start for root, which tests in containers run as.
  const args = process.getuid() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath, args });
}

/** Answers everything at once; `/leaky` says who asks, `/slow` takes its time. */
export async function startOrigin() {
  const server = createServer(async (request, response) => {
    for await (const _ of request);
    if (request.url.startsWith("/slow")) await sleep(40);
    if (request.url.startsWith("/broken")) response.statusCode = 500;
    const who = request.headers.authorization ?? "nobody";
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ data: request.url.startsWith("/leaky") ? who : request.url }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { address: `127.0.0.1:${server.address().port}`, stop: () => { server.close(); server.closeAllConnections(); } };
}

/** A Redis without persistence. */
export async function startRedis() {
  const listener = createListener().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address();
  listener.close();
  await once(listener, "close");
  const folder = mkdtempSync(join(tmpdir(), "sidecache-redis-"));
  const child = started("redis-server", ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--dir", folder]);
  const lines = createInterface({ input: child.stdout });
  await new Promise((ready) => lines.on("line", (line) => line.includes("Ready to accept") && ready()));
  const stop = () => ended(child).then(() => rmSync(folder, { recursive: true, force: true }));
  return { url: `redis://127.0.0.1:${port}`, stop };
}

const rule = (name, more = "") => `
[[cache]]
name = "${name}"
match = "GET /${name}/{id}"
key = "${name}:{id}"
query = []
ttl = "5m"
public = true
${more}`;

/** Rules of every sort that the page tells apart. */
const RULES = `
[audit]
leak = 1
${rule("list")}${rule("slow")}${rule("leaky")}${rule("unasked")}${rule("tried", 'stage = "observe"')}${rule("broken")}
[[cache]]
name = "searched"
match = "GET /searched"
key = "searched:{query}"
ttl = "1m"
public = true
query = ["page"]

[[invalidate]]
name = "changed"
on = "POST /change/{id}"
drop = ["list:{id}", "searched:*"]
`;

/** A sidecar; `admin` are more lines for its door, `alerts` those of a table of their own, `more` tables of others. */
export async function startSidecar(origin, { store = "memory:", admin = "", alerts = "", more = "" } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "sidecache-page-"));
  const file = join(folder, "rules.toml");
  const rules = `namespace = "page"
[proxy]
listen = "127.0.0.1:0"
origin = "http://${origin.address}"
hosts = ["api.test"]
[admin]
listen = "127.0.0.1:0"
${admin}
[store]
url = "${store}"
timeout = "1s"
${alerts && `[alerts]\n${alerts}`}
${RULES}${more}`;
  writeFileSync(file, rules);
  const child = started(PROGRAM, ["--rules", file], { SIDECACHE_LOG: "error" });
  const said = [];
  for await (const line of createInterface({ input: child.stdout })) {
    said.push(line);
    if (said.length === 3) break;
  }
  const after = (words) => said.join("\n").split(words)[1]?.split(/\s/)[0].replace("http://", "");
  const [proxy, door] = [after("listens on "), after("admin door: ")];
  if (!proxy || !door) throw new Error(`${PROGRAM} has not started: ${said.join("\n")}`);
  const get = (target, headers = {}, method = "GET") => asked(proxy, method, target, headers);
  const stop = () => ended(child).then(() => rmSync(folder, { recursive: true, force: true }));
  const reload = (lines = "") => {
    writeFileSync(file, rules + lines);
    return asked(door, "POST", "/api/reload", { Host: door });
  };
  return { door: `http://${door}/`, get, reload, stop };
}

async function asked(address, method, target, headers) {
  // Not by fetch, which has no say in Host.
  const [host, port] = address.split(":");
  const sent = request({ host, port, method, path: target, headers: { Host: "api.test", ...headers }, agent: false });
  sent.end();
  const [response] = await once(sent, "response");
  for await (const _ of response);
  return response.headers["cache-status"] ?? "";
}

function started(program, args, env = {}) {
  if (program.includes("/") && !existsSync(program)) throw new Error(`${program} is missing: \`cargo build --bin sidecache\`, or name one in SIDECACHE_BIN`);
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "inherit"] });
  children.add(child);
  child.once("exit", () => children.delete(child));
  return child;
}

async function ended(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}

/** A tab that shows the page, with all that it complained of and all that it asked for. */
export async function open(browser, door, { context: given, ...options } = {}) {
  const context = given ?? (await browser.newContext({ viewport: { width: 1400, height: 900 }, ...options }));
  const page = await context.newPage();
  const seen = { complaints: [], requests: [] };
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) seen.complaints.push(message.text());
  });
  page.on("pageerror", (error) => seen.complaints.push(`${error}`));
  page.on("request", (request) => seen.requests.push(request.url()));
  const asks = (path) => seen.requests.filter((url) => new URL(url).pathname === path).length;
  const load = () => page.goto(door);
  return { context, page, seen, asks, load, ...reading(page) };
}

/** How a person reads the page. */
function reading(page) {
  const figure = (name) => page.locator(`[data-v="${name}"]`).first().textContent();
  const texts = (selector) => page.locator(selector).allTextContents();
  const cell = async (rule, heading) => {
    const headings = await texts("#rule-table thead th");
    const row = page.locator("#rule-table tbody tr").filter({ has: page.getByRole("rowheader", { name: rule, exact: true }) });
    return (await row.count()) === 0 ? null : row.locator("th, td").nth(headings.indexOf(heading)).textContent();
  };
  const isDrawn = () => eventually("the page is drawn", async () => (await cell("list", "Stage")) !== null);
  return { figure, texts, cell, isDrawn };
}
