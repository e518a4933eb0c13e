// The alerts and the dashboard against Prometheus's own tool and against what a sidecar exposes.

import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { parse } from "yaml";
import { DEPLOY, PROGRAM, atEnd, eventually, folder, read, start, startRedis, succeeds } from "./world.mjs";

/** Labels that Prometheus adds, and the one by which a histogram's buckets are known. */
const SCRAPED = ["job", "instance"];

const rulesFile = join(DEPLOY, "prometheus/sidecache.rules.yaml");
const rules = () => parse(read("deploy/prometheus/sidecache.rules.yaml")).groups.flatMap((group) => group.rules);
const alerts = () => rules().filter((rule) => rule.alert);
const recorded = () => rules().filter((rule) => rule.record);

const dashboard = JSON.parse(read("deploy/grafana/sidecache.json"));
const panels = dashboard.panels.filter((panel) => panel.type !== "row");
const variables = dashboard.templating.list.map(({ name }) => name);

/** An expression as Grafana sends it. */
const sent = (expr) => expr.replaceAll("$__rate_interval", "5m").replaceAll(/\$(\w+)/g, (_, name) => (assert.ok(variables.includes(name), name), ".*"));
const shown = () => panels.flatMap(({ title, targets }) => targets.map(({ expr, legendFormat }) => ({ title, expr: sent(expr), legend: legendFormat })));

test("promtool takes the rules, and each alert fires when it should and only then", async () => {
  await succeeds("promtool", ["check", "rules", rulesFile]);
  await succeeds("promtool", ["test", "rules", join(DEPLOY, "prometheus/tests.yaml")]);
  const tested = read("deploy/prometheus/tests.yaml");
  for (const { alert } of alerts()) assert.match(tested, new RegExp(`alertname="${alert}"`), `${alert} has a test`);
});

test("every alert says what is the matter, and what to do", () => {
  for (const { alert, labels, annotations } of alerts()) {
    assert.match(alert, /^Sidecache[A-Z]/);
    assert.ok(["info", "warning", "critical"].includes(labels.severity), alert);
    for (const part of ["summary", "description", "action"]) assert.ok(annotations[part]?.length > 15, `${alert}: ${part}`);
    assert.doesNotMatch(annotations.summary, /\.$/, alert);
  }
});

test("promtool takes every expression of the dashboard", async () => {
  const file = join(folder(), "dashboard.yaml");
  const asRules = shown().map(({ title, expr }, place) => ({ record: `dashboard:panel:${place}`, expr, labels: { title } }));
  assert.ok(asRules.length > 40);
  writeFileSync(file, JSON.stringify({ groups: [{ name: "dashboard", rules: asRules }] }));
  await succeeds("promtool", ["check", "rules", file]);
});

test("Grafana can import the dashboard", () => {
  const all = dashboard.panels;
  assert.equal(new Set(all.map(({ id }) => id)).size, all.length, "ids are unique");
  assert.ok(!("id" in dashboard) && /^[\w-]{1,40}$/.test(dashboard.uid) && dashboard.schemaVersion >= 36);
  for (const { title, gridPos: { x, y, w, h } } of all) assert.ok(x >= 0 && y >= 0 && w > 0 && h > 0 && x + w <= 24, title);
  const meet = (a, b) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
  all.forEach((a, place) => all.slice(place + 1).forEach((b) => assert.ok(!meet(a.gridPos, b.gridPos), `${a.title} lies on ${b.title}`)));
  for (const { title, datasource, targets, fieldConfig } of panels) {
    for (const { uid } of [datasource, ...targets.map((target) => target.datasource)]) assert.equal(uid, "${datasource}", title);
    assert.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length, title);
    assert.ok(title && fieldConfig.defaults.unit, title);
  }
  const [source, ...asked] = dashboard.templating.list;
  assert.deepEqual([source.name, source.type, source.query], ["datasource", "datasource", "prometheus"]);
  for (const { datasource } of asked) assert.equal(datasource.uid, "${datasource}");
  const rows = all.filter(({ type }) => type === "row").map(({ title }) => title);
  assert.deepEqual(rows, ["Traffic", "Latency", "Origin", "Store", "Invalidations", "Audits, limits and alerts", "Process"]);
});

/** The series that an expression asks for, each with the labels that it is chosen by. */
function selectors(expr) {
  const bare = expr.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""').replaceAll(/\[[^\]]*\]/g, "");
  const grouped = /\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g;
  const groups = [...bare.matchAll(grouped)].flatMap(([, names]) => names.split(",").map((name) => name.trim())).filter(Boolean);
  const rest = bare.replaceAll(grouped, " ");
  const words = /(?<![\w.])([a-zA-Z_:][\w:]*)\s*(\{[^}]*\}|\()?/g;
  const isWord = (name) => ["and", "or", "unless", "bool", "offset"].includes(name);
  const found = [...rest.matchAll(words)].filter(([, name, next]) => next !== "(" && !isWord(name));
  const asked = found.map(([, name, labels = ""]) => ({ name, labels: [...labels.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, label]) => label) }));
  return { asked, groups };
}

test("selectors are found in an expression", () => {
  const expr = 'sum by (job, le) (rate(a_total{x=~"b{c}", y!=""}[5m])) / on (job) group_left () (0 * b:c:d) or vector(0) > 1e3';
  assert.deepEqual(selectors(expr), {
    asked: [{ name: "a_total", labels: ["x", "y"] }, { name: "b:c:d", labels: [] }],
    groups: ["job", "le", "job"],
  });
});

/** What every literal label value of an expression may be: `quota|capacity` is two. */
const values = (expr) => [...expr.matchAll(/\w+\s*(?:=~|!~|!=|=)\s*"([^"]*)"/g)].flatMap(([, value]) => value.split("|"));

const RULES = (origin, redis, webhook) => `
namespace = "watched"
[proxy]
listen = "127.0.0.1:0"
origin = "http://${origin}"
hosts = ["api.test"]
[admin]
listen = "127.0.0.1:0"
token = "0123456789abcdef"
[store]
url = "${redis}"
timeout = "1s"
budget = { commands = 100000, per = "day" }
[audit]
leak = 1
[alerts]
hit_rate_below = 0.5
p99_above = "1s"
webhook = "http://${webhook}/"
[[cache]]
name = "list"
match = "GET /list/{id}"
key = "list:{id}"
query = []
ttl = "5m"
local_ttl = "1s"
public = true
[[invalidate]]
name = "changed"
on = "POST /change/{id}"
drop = ["list:{id}"]
[[limit]]
name = "few"
match = "GET /limited"
max = 1
window = "1m"
`;

async function listening(answer) {
  const server = createServer(answer).listen(0, "127.0.0.1");
  await once(server, "listening");
  atEnd(() => (server.close(), server.closeAllConnections()));
  return { address: `127.0.0.1:${server.address().port}` };
}

async function asked(address, path, { method = "GET", headers = {} } = {}) {
  const [host, port] = address.split(":");
  const sent = request({ host, port, method, path, headers: { Host: "api.test", ...headers }, agent: false }).end();
  const [response] = await once(sent, "response");
  let text = "";
  for await (const part of response) text += part;
  return { status: response.statusCode, text };
}

/** Families of an exposition: each with the names of its series and their labels. */
function families(text, into = new Map()) {
  let last;
  for (const line of text.split("\n")) {
    const declared = /^# TYPE (\S+)/.exec(line)?.[1];
    if (declared) into.set((last = declared), into.get(declared) ?? { series: new Map() });
    const [, name, labels] = /^(\w+)(?:\{(.*)\})? \S+$/.exec(line) ?? [];
    if (!name || line.startsWith("#")) continue;
    assert.ok(name.startsWith(last), line);
    const { series } = into.get(last);
    if (!series.has(name)) series.set(name, new Set());
    for (const [, label] of (labels ?? "").matchAll(/(\w+)="/g)) series.get(name).add(label);
  }
  return into;
}

/** Everything that a sidecar shows, after traffic of every sort. */
async function exposed() {
  const redis = await startRedis();
  const origin = await listening(async (request, response) => {
    if (request.url.startsWith("/list/slow")) await sleep(200);
    if (request.url.startsWith("/list/leaky")) return response.end(request.headers.authorization ?? "nobody");
    response.statusCode = request.url === "/broken" ? 500 : 200;
    response.end(request.url);
  });
  const webhook = await listening((request, response) => response.end());
  const file = join(folder(), "rules.toml");
  writeFileSync(file, RULES(origin.address, redis.url, webhook.address));
  const sidecar = start(PROGRAM, ["--rules", file], { env: { ...process.env, SIDECACHE_LOG: "off" } });
  const proxy = (await sidecar.line("listens on http://")).split(" ")[0];
  const door = await sidecar.line("admin door: http://");
  await eventually("Redis is used", async () => (await asked(door, "/readyz")).text.includes('"up"'));
  for (const path of ["/list/1", "/list/1", "/broken", "/limited", "/limited", "/other"]) await asked(proxy, path);
  await asked(proxy, "/change/1", { method: "POST" });
  await Promise.all(Array.from({ length: 4 }, () => asked(proxy, "/list/slow")));
  await asked(proxy, "/list/leaky", { headers: { Authorization: "somebody" } }); // into quarantine, which is an alert
  await asked(door, "/api/stats", { headers: { Authorization: "Bearer wrong" } });
  const [host, port] = proxy.split(":");
  const rude = connect(Number(port), host).on("error", () => {});
  rude.write(`GET /${"x".repeat(100_000)} HTTP/1.1\r\n`);
  const metrics = async () => (await asked(door, "/metrics")).text;
  // Alerts and Redis's memory are looked at every ten seconds.
  const late = ["sidecache_alert_webhook_total", "sidecache_store_memory_bytes", "sidecache_connections_cut_total"];
  await eventually(`${late} are there`, async () => late.every(((text) => (name) => text.includes(name))(await metrics())));
  const found = families(await metrics());
  await redis.stop();
  await asked(proxy, "/list/2");
  families(await eventually("an error is counted", async () => /sidecache_store_errors_total\{/.test(await metrics()) && metrics()), found);
  rude.destroy();
  await sidecar.stop();
  return found;
}

test("what the alerts and the dashboard ask for is what a sidecar shows, and README tells of it", async () => {
  const found = await exposed();
  const series = new Map([...found.values()].flatMap((family) => [...family.series]));
  series.set("up", new Set());
  series.set("sidecache_local_evictions_total", new Set());
  for (const { record, expr } of recorded()) series.set(record, new Set(selectors(expr).groups));
  const readme = read("README.md");
  const uses = [...rules().map(({ record, alert, expr }) => ({ where: record ?? alert, expr })), ...shown().map(({ title, expr, legend }) => ({ where: title, expr, legend }))];
  for (const { where, expr, legend = "" } of uses) {
    const { asked, groups } = selectors(expr);
    assert.ok(asked.length > 0, where);
    const known = new Set(SCRAPED);
    for (const { name, labels } of asked) {
      assert.ok(series.has(name), `${where}: no sidecar shows ${name}`);
      for (const label of series.get(name)) known.add(label);
      for (const label of labels) assert.ok(SCRAPED.includes(label) || series.get(name).has(label), `${where}: ${name} has no ${label}`);
    }
    const told = [...legend.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label);
    for (const label of [...groups, ...told]) assert.ok(known.has(label), `${where}: nothing there has ${label}`);
    for (const value of values(expr).filter((value) => /^[a-z-]+$/.test(value))) assert.match(readme, new RegExp(`\\b${value}\\b`), `${where}: README knows no ${value}`);
  }
  const listed = /Metrics, prefix `sidecache_`:(.*?)\n\n/s.exec(readme)[1];
  const names = [...listed.matchAll(/`([a-z_]+?)(?:_total)?(?:\{[^`]*)?`/g)].map(([, name]) => name);
  for (const family of found.keys()) {
    const name = family.replace(/^sidecache_/, "").replace(/_total$/, "");
    assert.ok(names.includes(name) || family.startsWith("process_"), `README's list of metrics lacks ${family}`);
  }
});
