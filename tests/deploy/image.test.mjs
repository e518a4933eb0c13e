// The image, made by its Dockerfile and run: before the clinic, on a Redis by TLS, both found by DNS.

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, readlinkSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { ROOT, atEnd, eventually, folder, freePort, read, run, start, succeeds } from "./world.mjs";

const MIB = 1 << 20;
/** Of an image as it is shipped. */
const LARGEST = 16 * MIB;
const JWT_SECRET = "a secret of the tests";
const TOKEN = "0123456789abcdef";

/** The release profile takes ten minutes of a processor; with this set the program is not optimised, and its size says nothing. */
const QUICK = process.env.SIDECACHE_IMAGE_QUICK === "1";

/** Nobody's number, as the Dockerfile has it. */
const USER = 65532;

/** Where names are asked for: resolv.conf names no port, so it is the usual one, and that is root's. */
const DNS = "127.53.0.1";

const place = folder();
const STORAGE = ["--root", join(place, "root"), "--runroot", join(place, "run"), "--storage-driver", "vfs"];

async function buildah(command, ...args) {
  return (await succeeds("buildah", [...STORAGE, command, ...args], { cwd: ROOT })).out.trim();
}

/** What the Rust image would bring: this machine's own compiler and crates, seen from an image that is empty but for
 * the places they are mounted at. What it has built is kept, for the next time. */
async function builder() {
  const sysroot = (await succeeds("rustc", ["--print", "sysroot"], { cwd: ROOT })).out.trim();
  const host = /^host: (.*)$/m.exec((await succeeds("rustc", ["-vV"], { cwd: ROOT })).out)[1];
  await succeeds("cargo", ["fetch", "--locked", "--target", host], { cwd: ROOT });
  const cargo = (name) => join(process.env.CARGO_HOME ?? join(homedir(), ".cargo"), name);
  const kept = resolve(ROOT, process.env.CARGO_TARGET_DIR ?? "target", QUICK ? "image-quick" : "image");
  mkdirSync(kept, { recursive: true });
  const mounts = [["/usr", "/usr:ro"], ["/etc/alternatives", "/etc/alternatives:ro"], [sysroot, `${sysroot}:ro`], [cargo("registry"), "/cargo/registry:ro"], [kept, "/src/target"]];
  if (existsSync(cargo("config.toml"))) mounts.push([cargo("config.toml"), "/cargo/config.toml:ro"]); // another registry
  const container = await buildah("from", "scratch");
  const root = await buildah("mount", container);
  for (const name of ["bin", "lib", "lib32", "lib64", "libx32"]) if (existsSync(`/${name}`)) symlinkSync(`usr/${name}`, join(root, name));
  mkdirSync(join(root, "tmp"));
  await buildah("umount", container);
  const environment = { PATH: `${sysroot}/bin:/usr/bin:/bin`, CARGO_HOME: "/cargo", CARGO_NET_OFFLINE: "true" };
  if (QUICK) for (const [name, value] of Object.entries({ LTO: "off", CODEGEN_UNITS: "16", OPT_LEVEL: "0", DEBUG: "0" })) environment[`CARGO_PROFILE_RELEASE_${name}`] = value;
  await buildah("config", ...Object.entries(environment).flatMap(([name, value]) => ["--env", `${name}=${value}`]), container);
  await buildah("commit", "--quiet", "--rm", container, "localhost/builder");
  return mounts.flatMap(([host, inside]) => ["--volume", `${host}:${inside}`]);
}

async function build() {
  const mounts = await builder();
  await buildah("bud", "--format", "docker", "--isolation", "chroot", "--file", "deploy/Dockerfile", "--build-arg", "BUILDER=localhost/builder", ...mounts, "--tag", "localhost/sidecache", ".");
}

/** Answers every name under `.test` with loopback. */
async function startDns() {
  const server = createSocket("udp4");
  server.on("message", (asked, from) => {
    const end = asked.indexOf(0, 12) + 5; // of the question: its name, type and class
    const isFound = asked.readUInt16BE(end - 4) === 1 && asked.subarray(12, end).includes("\x04test");
    const head = Buffer.from([asked[0], asked[1], 0x81, 0x80, 0, 1, 0, isFound ? 1 : 0, 0, 0, 0, 0]);
    const answer = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    server.send(Buffer.concat([head, asked.subarray(12, end), ...(isFound ? [answer] : [])]), from.port, from.address);
  });
  server.bind(53, DNS);
  await once(server, "listening");
  atEnd(() => server.close());
}

/** A Redis that speaks TLS alone, to whoever believes the authority in `ca.pem`. */
async function startTlsRedis(home) {
  const [ca, caKey, cert, key] = ["ca.pem", "ca-key.pem", "cert.pem", "key.pem"].map((name) => join(home, name));
  const signed = (...args) => succeeds("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", ...args]);
  await signed("-subj", "/CN=an authority of the tests", "-out", ca, "-keyout", caKey);
  const names = ["-addext", "subjectAltName=DNS:cache.test", "-addext", "basicConstraints=critical,CA:FALSE"];
  await signed("-CA", ca, "-CAkey", caKey, "-subj", "/CN=cache.test", ...names, "-out", cert, "-keyout", key);
  const port = await freePort();
  const tls = ["--tls-port", `${port}`, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no"];
  const server = start("redis-server", ["--port", "0", "--bind", "127.0.0.1", "--save", "", "--dir", home, ...tls]);
  await server.line("Ready to accept");
  return { url: `rediss://cache.test:${port}`, ca };
}

async function startClinic() {
  const port = await freePort();
  const clinic = start(process.execPath, ["tests/clinic/server.js"], { cwd: ROOT, env: { ...process.env, PORT: `${port}`, HOST: "127.0.0.1", JWT_SECRET } });
  await clinic.line("listening");
  const seed = await (await fetch(`http://127.0.0.1:${port}/__clinic/seed`)).json();
  return { url: `http://backend.test:${port}`, seed };
}

/** The process of the image, whatever stands between it and what was started here. */
function sidecacheBelow(pid) {
  const children = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    try {
      const [, comm, parent] = /^\d+ \((.*)\) \S (\d+)/s.exec(readFileSync(`/proc/${name}/stat`, "utf8"));
      return [{ pid: Number(name), comm, parent: Number(parent) }];
    } catch {
      return []; // it has ended
    }
  });
  const below = (parent) => children.filter((child) => child.parent === parent).flatMap((child) => [child, ...below(child.pid)]);
  return below(pid).find(({ comm }) => comm === "sidecache")?.pid;
}

const status = (pid, field) => new RegExp(`^${field}:\\s+(.*)$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1];

async function asked(url, method = "GET", headers = {}, body) {
  const response = await fetch(url, { method, headers, body });
  return { status: response.status, cache: response.headers.get("cache-status") ?? "", body: await response.json() };
}

test("the image is made by its Dockerfile, and is small, nobody's and says how it is run", { timeout: 2_400_000 }, async (context) => {
  assert.equal(process.getuid(), 0, "to make and run an image, and to answer DNS, takes root: sudo tests/run.sh");
  await build();
  // An image of the OCI's kind could have no health check.
  const { Docker: { config } } = JSON.parse(await buildah("inspect", "--type", "image", "localhost/sidecache"));
  assert.equal(config.User, `${USER}:${USER}`);
  assert.deepEqual(config.Entrypoint, ["/sidecache"]);
  assert.ok(config.Env.includes("SIDECACHE_RULES=/etc/sidecache/rules.toml"));
  assert.deepEqual(Object.keys(config.ExposedPorts), ["8080/tcp", "9090/tcp"]);
  assert.equal(config.StopSignal, "SIGTERM");
  assert.deepEqual(config.Healthcheck.Test, ["CMD", "/sidecache", "health"]);
  assert.equal(config.Labels["org.opencontainers.image.title"], "sidecache");
  const container = await buildah("from", "--name", "looked-at", "localhost/sidecache");
  const root = await buildah("mount", container);
  const files = (await succeeds("find", [root, "-type", "f"])).out.trim().split("\n");
  assert.deepEqual(files, [join(root, "sidecache")], "one file, no shell");
  const { size } = statSync(files[0]);
  const mib = `${(size / MIB).toFixed(1)} MiB`;
  context.diagnostic(QUICK ? `made the quick way: its ${mib} are not held to anything` : `made as it is shipped: ${mib} of at most ${LARGEST / MIB}`);
  assert.ok(QUICK || size <= LARGEST, mib);
  assert.equal(statSync(join(root, "var/lib/sidecache")).uid, USER, "a volume there is the user's");
  const { out } = await succeeds("readelf", ["--program-headers", files[0]]);
  assert.doesNotMatch(out, /INTERP/, "no loader, no shared library");
  await buildah("rm", container);
});

test("run as it is, it serves, keeps and forgets what the clinic says, and ends in order", { timeout: 120_000 }, async () => {
  const home = folder();
  await startDns();
  const [redis, clinic] = await Promise.all([startTlsRedis(home), startClinic()]);
  const rules = folder();
  chmodSync(rules, 0o755);
  writeFileSync(join(rules, "ca.pem"), readFileSync(redis.ca));
  writeFileSync(join(rules, "rules.toml"), read("rules.toml").replace("max_entry", 'timeout = "5s"\nca = "ca.pem"\njournal = "/var/lib/sidecache/owed"\nmax_entry').replace("leak = 0.01", "leak = 0"));
  writeFileSync(join(rules, "resolv.conf"), `nameserver ${DNS}\n`);
  const [port, door] = [await freePort(), await freePort()];
  const environment = {
    ORIGIN_URL: clinic.url, REDIS_URL: redis.url, JWT_SECRET,
    SIDECACHE_LISTEN: `127.0.0.1:${port}`, SIDECACHE_ADMIN_LISTEN: `127.0.0.1:${door}`, SIDECACHE_ADMIN_TOKEN: TOKEN, SIDECACHE_LOG: "warn",
  };
  // The network is this machine's; what a container would have of its own is the files.
  const container = await buildah("from", "--dns", DNS, "--name", "served", "localhost/sidecache");
  const within = (...command) => [
    ...STORAGE, "run", "--isolation", "chroot", "--volume", `${rules}:/etc/sidecache:ro`,
    ...Object.entries(environment).flatMap(([name, value]) => ["--env", `${name}=${value}`]), container, "--", ...command,
  ];
  const health = () => run("buildah", within("/sidecache", "health"));
  assert.equal((await health()).status, 1, "nothing listens yet");

  const running = start("buildah", within("/sidecache"));
  await running.line("listens on");
  const pid = sidecacheBelow(running.child.pid);
  for (const ids of ["Uid", "Gid"]) assert.deepEqual(status(pid, ids).split(/\s+/).map(Number), [USER, USER, USER, USER]);
  assert.match(status(pid, "CapEff"), /^0+$/, "no capability");
  await eventually("health says that it is ready and uses Redis", async () => {
    const { status, out } = await health();
    return status === 0 && out === "ready: store up\n";
  });

  const proxy = `http://127.0.0.1:${port}`;
  const doctor = `${proxy}/api/v1/doctor/${clinic.seed.doctor.id}`;
  assert.match((await asked(doctor)).cache, /fwd=miss/);
  const hit = await asked(doctor);
  assert.match(hit.cache, /; hit/);
  const json = { "content-type": "application/json", authorization: clinic.seed.admin.token };
  assert.equal((await asked(doctor, "PATCH", json, JSON.stringify({ name: "Dr New" }))).status, 200);
  const after = await asked(doctor);
  assert.match(after.cache, /fwd=miss/);
  assert.deepEqual([hit.body.data.name !== "Dr New", after.body.data.name], [true, "Dr New"]);
  assert.equal((await asked(`http://127.0.0.1:${door}/api/stats`)).status, 401, "the door wants its token");
  assert.equal((await asked(`http://127.0.0.1:${door}/api/stats`, "GET", { authorization: `Bearer ${TOKEN}` })).status, 200);

  process.kill(pid, "SIGTERM");
  const [code] = await once(running.child, "exit");
  assert.equal(code, 0);
  assert.equal((await health()).status, 1);
  await readOnly(container, rules, { ...environment, PATH: "/" });
  await buildah("rm", container);
});

/** The same files, of which none can be written but those of a volume. */
async function readOnly(container, rules, environment) {
  const root = await buildah("mount", container);
  mkdirSync(join(root, "etc/sidecache"), { recursive: true });
  const script = `set -e
    mount --bind "$1" "$1"; mount --bind "$2" "$1/etc/sidecache"; mount --bind "$2/resolv.conf" "$1/etc/resolv.conf"
    mount -t tmpfs -o uid=${USER},mode=700 tmpfs "$1/var/lib/sidecache"
    mount -o remount,bind,ro "$1"
    if touch "$1/written" 2>/dev/null; then echo "it can be written"; exit 1; fi
    exec chroot --userspec ${USER}:${USER} --groups= "$1" /sidecache run --rules /etc/sidecache/rules.toml`;
  const running = start("unshare", ["--mount", "sh", "-c", script, "sh", root, rules], { env: { ...environment, PATH: process.env.PATH } });
  await running.line("listens on");
  await eventually("it uses Redis", async () => (await asked(`http://${environment.SIDECACHE_ADMIN_LISTEN}/readyz`)).body.store === "up");
  assert.equal(readlinkSync(`/proc/${running.child.pid}/exe`).endsWith("/sidecache"), true);
  assert.equal(await running.stop("SIGTERM"), 0);
  await buildah("umount", container);
}
