// The dashboard in a real browser, before a real sidecar.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { join } from "node:path";
import { eventually, open, startBrowser, startOrigin, startRedis, startSidecar } from "./world.mjs";

const TOKEN = "only-for-this-test-0123456789";
const LIMIT = { timeout: 120_000 };

let browser;
let origin;
let busy; // a sidecar that has had traffic, for tests that change nothing
const begun = [];

before(async () => {
  origin = await startOrigin();
  browser = await startBrowser();
  busy = await sidecar();
  await traffic(busy);
}, LIMIT);
after(async () => {
  await browser?.close();
  await Promise.all(begun.map((one) => one.stop()));
  origin?.stop();
});

async function sidecar(options) {
  const one = await startSidecar(origin, options);
  begun.push(one);
  return one;
}

async function shown(one, options) {
  const tab = await open(browser, one.door, options);
  await tab.load();
  return tab;
}

async function traffic(one) {
  for (let round = 0; round < 4; round += 1) {
    for (const target of ["/list/1", "/slow/1", "/searched?page=1", "/tried/1", "/broken/1"]) await one.get(target);
  }
  await one.get("/elsewhere");
  await one.get("/change/2", {}, "POST");
}

test("the page draws itself, asks nobody but the door, and its policy has nothing to complain of", LIMIT, async () => {
  const { page, seen, isDrawn, cell, figure, context } = await shown(busy);
  await isDrawn();
  assert.equal(await cell("list", "Requests"), "4");
  assert.equal(await cell("list", "Hit rate"), "75.0 %");
  assert.equal(await cell("list", "TTL"), "5m");
  assert.match(await cell("unasked", "Stage"), /never asked/);
  assert.equal(await cell("tried", "Stage"), "observe 3 the same");
  assert.equal(await cell("tried", "Hit rate"), "(75.0 %)");
  assert.match(await page.locator("#unruled").textContent(), /observed rule would have done/);
  assert.equal(await figure("store.state"), "up");
  assert.equal(await figure("store.owed"), "0");
  assert.match(await figure("hit.p50"), /µs|ms/);
  assert.match(await page.locator("#updated").textContent(), /^updated \d\d:\d\d:\d\d/);
  await eventually("writes are listed", async () => (await page.locator("#writes").textContent()).includes("searched:*"));
  const { host } = new URL(busy.door);
  assert.deepEqual(seen.requests.filter((url) => new URL(url).host !== host), []);
  assert.deepEqual(seen.complaints, []);
  await context.close();
});

test("an origin that answers 500 is told apart from one that fails, and what is observed has a number", LIMIT, async () => {
  const { page, isDrawn, cell, figure, context } = await shown(busy);
  await isDrawn();
  assert.deepEqual([await cell("broken", "Origin 5xx"), await cell("broken", "Errors"), await cell("list", "Origin 5xx")], ["4", "0", "0"]);
  const errors = page.locator("#errors");
  await eventually("it has a line", async () => /origin answered 500\s*broken\s*4/.test(await errors.innerText()));
  const tone = (locator) => locator.evaluate((node) => getComputedStyle(node).color);
  const ofTone = (name) => page.evaluate((name) => {
    const node = document.body.appendChild(Object.assign(document.createElement("i"), { className: name }));
    const { color } = getComputedStyle(node);
    node.remove();
    return color;
  }, name);
  assert.equal(await tone(errors.locator("td").nth(1)), await ofTone("answered"));
  assert.notEqual(await ofTone("answered"), await ofTone("failed"));
  assert.deepEqual([await figure("hour.origin_5xx"), await figure("hour.would"), await figure("hour.errors")], ["4", "4", "0"]);
  await page.getByLabel("the fleet").check();
  assert.equal(await cell("broken", "Origin 5xx"), "–", "the fleet does not tell");
  await context.close();
});

/** A tab whose answers from the door's statistics `change` may change; gives another status or text in their stead. */
async function altered(one, change) {
  const tab = await open(browser, one.door);
  await tab.page.route("**/api/stats", async (route) => {
    const response = await route.fetch();
    const stats = await response.json();
    const instead = change(stats);
    await route.fulfill(instead ?? { response, json: stats });
  });
  await tab.load();
  await tab.isDrawn();
  return tab;
}

test("figures are not shown on to who is no longer let in", LIMIT, async () => {
  let isRefused = false;
  const { page, cell, figure, context } = await altered(busy, () => isRefused ? { status: 401, json: { error: "no" } } : undefined);
  assert.notEqual(await figure("spared.all"), "–");
  isRefused = true;
  await page.getByLabel("Token, as").waitFor();
  assert.equal(await cell("list", "Requests"), null);
  assert.deepEqual([await figure("spared.all"), await figure("store.state")], ["–", "–"]);
  assert.equal(await page.locator("#updated").textContent(), "Waiting for the token");
  isRefused = false;
  await page.getByLabel("Token, as").fill("another");
  await page.keyboard.press("Enter");
  await eventually("they come back", async () => (await figure("store.state")) === "up");
  await context.close();
});

test("an answer that the page cannot read is no update, and another version asks to be loaded", LIMIT, async () => {
  let change = () => undefined;
  const { page, context } = await altered(busy, (stats) => change(stats));
  const alert = page.getByRole("alert");
  const updated = page.locator("#updated");
  assert.equal(await alert.innerText(), "");
  change = (stats) => { stats.version = "99.0.0"; };
  await eventually("the version is told", async () => /its door of 99\.0\.0: load it again/.test(await alert.innerText()));
  change = (stats) => { stats.process.series = null; };
  await eventually("it is told", async () => /does not understand its door: load it again\. What stands here is from \d\d:/.test(await alert.innerText()));
  const at = async () => /updated [\d:]+/.exec(await updated.textContent())[0];
  const before = await at();
  await page.waitForResponse("**/api/stats");
  await page.waitForResponse("**/api/stats");
  assert.equal(await at(), before);
  assert.equal(await updated.getAttribute("class"), "late");
  change = () => undefined;
  await eventually("it goes on", async () => (await alert.innerText()) === "" && (await at()) !== before);
  await context.close();
});

test("a refused rules file is loud until one is put in force", LIMIT, async () => {
  const one = await sidecar();
  const { page, isDrawn, context } = await shown(one);
  await isDrawn();
  await one.reload('[[cache]]\nname = "half');
  const alert = page.getByRole("alert");
  await eventually("it is told", async () => /The rules file was refused at \d\d:\d\d:\d\d: rules of \d\d:\d\d:\d\d are in force/.test(await alert.innerText()));
  assert.match(await page.title(), /^\(!\)/);
  await one.reload();
  await eventually("it leaves", async () => (await alert.innerText()) === "");
  await context.close();
});

test("figures wait for no audit", LIMIT, async () => {
  const { page, load, isDrawn, asks, context } = await open(browser, busy.door);
  await page.route("**/api/audit", () => {}); // never answered
  await load();
  await isDrawn();
  await eventually("it asks again", async () => asks("/api/stats") > 2);
  assert.equal(asks("/api/audit"), 1);
  await context.close();
});

test("what was not today has its date, and a name is not taken for what every object has", LIMIT, async () => {
  const { page, cell, context } = await altered(busy, (stats) => {
    const { process, fleet, at } = stats;
    const yesterday = at - 86_400_000;
    process.writes = [{ at, set: "toString", count: 1, drops: [] }, { at: yesterday, set: "auto", count: 2, drops: [] }];
    process.errors = [{ from: yesterday, at, what: "store", of: "io", count: 18 }, { from: at, at, what: "valueOf", of: "-", count: 1 }];
    fleet.rules.constructor = fleet.rules.list;
  });
  const writes = (await page.locator("#writes").innerText()).split("\n");
  assert.match(writes[0], /^\d\d:\d\d:\d\d\s+toString\s+1/);
  assert.match(writes[1], /^\d+ [A-Z][a-z]+, \d\d:\d\d:\d\d\s+its own path\s+2/);
  assert.match(await page.locator("#errors").innerText(), /\d+ [A-Z][a-z]+, [\d:]+ – [\d:]+\s+store\s+io\s+18\s+[\d:]+\s+valueOf/);
  await page.getByLabel("the fleet").check();
  assert.match(await cell("constructor", "Stage"), /not in force here/);
  await context.close();
});

test("limits are counted in a table of their own, where there are any", LIMIT, async () => {
  const one = await sidecar({ more: '\n[[limit]]\nname = "searches"\nmatch = "GET /searched"\nper = "everybody"\nmax = 2\nwindow = "1h"\n' });
  for (let times = 0; times < 5; times += 1) await one.get("/searched?page=1");
  const { page, isDrawn, figure, context } = await shown(one);
  await isDrawn();
  const table = page.getByRole("region", { name: "Limits" }).locator("tbody");
  await eventually("it is counted", async () => /searches\s+2\s+3\s+0/.test(await table.innerText()));
  await eventually("so are the requests", async () => (await figure("hour.limited")) === "3");
  assert.match(await page.locator("#traffic").locator("xpath=../ul").innerText(), /limited/);
  await context.close();
  const { page: other, isDrawn: isOtherDrawn, context: another } = await shown(busy);
  await isOtherDrawn();
  assert.equal(await other.locator("#limits").isVisible(), false);
  assert.doesNotMatch(await other.locator("#traffic").locator("xpath=../ul").innerText(), /limited/);
  await another.close();
});

test("what a browser would do for a foreign script, this page's policy forbids", LIMIT, async () => {
  const one = await sidecar();
  const { page, isDrawn, seen, context } = await shown(one);
  await isDrawn();
  const markup = page.evaluate(() => { document.body.innerHTML = "<b>x</b>"; });
  await assert.rejects(markup, /TrustedHTML/);
  const elsewhere = page.evaluate((address) => fetch(`http://${address}/`).then(() => "came", () => "refused"), origin.address);
  assert.equal(await elsewhere, "refused");
  const isRun = await page.evaluate(() => {
    const script = document.createElement("script");
    try { script.textContent = "globalThis.foreign = true"; } catch { /* not even that */ }
    document.head.append(script);
    return globalThis.foreign === true;
  });
  assert.equal(isRun, false);
  assert.equal(seen.requests.filter((url) => url.includes(origin.address)).length, 0);
  await context.close();
});

test("figures follow the traffic without a reload", LIMIT, async () => {
  const one = await sidecar();
  const { page, isDrawn, cell, figure, asks, context } = await shown(one);
  await isDrawn();
  assert.equal(await cell("list", "Requests"), "0");
  await traffic(one);
  await eventually("the table has the requests", async () => (await cell("list", "Requests")) === "4");
  await eventually("the minute has a hit rate", async () => (await figure("rate.now")) !== "–");
  const chart = page.locator("#traffic");
  await eventually("the chart has the hits", async () => (await chart.locator("rect.hits").count()) > 0);
  assert.match(await chart.getAttribute("aria-valuetext"), /^\d\d:\d\d: hits /);
  assert.equal(asks("/"), 1);
  await page.getByLabel("the fleet").check();
  assert.equal(await cell("list", "Requests"), "4", "it is a fleet of one");
  assert.equal(await figure("rate.fleet"), await figure("rate.all"));
  await context.close();
});

test("headings sort the table, by mouse and by keyboard", LIMIT, async () => {
  const one = await sidecar();
  await traffic(one);
  for (let times = 0; times < 3; times += 1) await one.get("/list/1");
  const { page, isDrawn, cell, texts, context } = await shown(one);
  await isDrawn();
  const names = () => texts("#rule-table tbody th");
  const heading = (name) => page.getByRole("columnheader", { name, exact: true });
  await eventually("the busiest is first", async () => (await names())[0] === "list" && (await cell("list", "Requests")) === "7");
  assert.equal(await heading("Requests").getAttribute("aria-sort"), "descending");
  await heading("Rule").getByRole("button").click();
  const sorted = await names();
  assert.deepEqual(sorted, [...sorted].sort());
  assert.equal(await heading("Rule").getAttribute("aria-sort"), "ascending");
  assert.equal(await page.locator("[aria-sort]").count(), 1);
  await heading("Rule").getByRole("button").focus();
  await page.keyboard.press("Enter");
  assert.deepEqual(await names(), [...sorted].reverse());
  assert.equal(await heading("Rule").getAttribute("aria-sort"), "descending");
  await context.close();
});

test("a purge names what will fall, drops nothing when it is cancelled, and all of it when it is confirmed", LIMIT, async () => {
  const one = await sidecar();
  await one.get("/list/1");
  const { page, isDrawn, texts, seen, context } = await shown(one);
  await isDrawn();
  const button = page.getByRole("button", { name: "Show what would fall" });
  await page.getByLabel("Patterns, one a line").fill("list:1\nsearched:*");
  await page.getByLabel("Patterns, one a line").press("Tab");
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: "Drop 2 nodes?" });
  await dialog.waitFor();
  assert.deepEqual(await texts("#confirm-names li"), ["list:1", "searched:*"]);
  assert.equal(await page.locator("#confirm-no").evaluate((no) => no === document.activeElement), true);
  await page.keyboard.press("Escape");
  await eventually("it says so", async () => (await page.locator("#purge-said").textContent()) === "Nothing was dropped.");
  assert.match(await one.get("/list/1"), /hit/);
  assert.equal(await button.evaluate((node) => node === document.activeElement), true);
  await page.keyboard.press("Enter");
  await dialog.getByRole("button", { name: "Drop", exact: true }).click();
  await eventually("it is said", async () => (await page.locator("#purge-said").textContent()) === "Dropped: list:1, searched:*");
  assert.match(await one.get("/list/1"), /fwd=miss/);
  assert.deepEqual(seen.complaints, []);
  await page.getByLabel("Patterns, one a line").fill("nobody:1");
  await button.click();
  await eventually("a bad pattern is told", async () => (await page.locator("#purge-said").textContent()).includes("nobody:1"));
  assert.equal(await dialog.count(), 0);
  await context.close();
});

test("a request is explained: the verdict, the reason with its line, the key, and what drops it", LIMIT, async () => {
  const one = await sidecar();
  const { page, isDrawn, seen, context } = await shown(one);
  await isDrawn();
  const told = page.locator("#explained");
  const explain = async (url, headers = "") => {
    await page.getByLabel("Path or URL").fill(url);
    await page.getByLabel("Headers, one a line").fill(headers);
    await page.getByLabel("Path or URL").press("Enter");
  };
  await explain("/searched?page=2&utm=x", "Host: api.test\nAccept: */*");
  await eventually("it is cacheable", async () => (await told.locator(".tag").textContent().catch(() => "")) === "cacheable");
  const text = await told.innerText();
  for (const part of ["searched", "searched:*", "page=2", "changed", "POST /change/{id}", "utm"]) assert.ok(text.includes(part), `${part}: ${text}`);
  await explain("/list/1?x=1", "Host: other.test");
  await eventually("it passes", async () => (await told.innerText()).includes("bypass"));
  assert.match(await told.innerText(), /line \d+/);
  await told.getByRole("button", { name: "Purge this key" }).count();
  await page.getByLabel("Method").selectOption("POST");
  await explain("/change/7");
  await eventually("a write drops", async () => (await told.innerText()).includes("list:7"));
  await explain("/list/1", "no header");
  await eventually("a bad header is told", async () => (await page.locator("#explain-said").textContent()).includes("no header"));
  assert.deepEqual(seen.complaints, []);
  await context.close();
});

test("the token is asked for when the door wants it, and kept in its tab alone", LIMIT, async () => {
  const one = await sidecar({ admin: `token = "${TOKEN}"` });
  await one.get("/list/1");
  const { page, isDrawn, cell, asks, context } = await shown(one);
  const field = page.getByLabel("Token, as");
  await field.waitFor();
  assert.equal(await cell("list", "Requests"), null, "nothing is told before");
  const give = async (token) => {
    const answer = page.waitForResponse("**/api/stats");
    await field.fill(token);
    await field.press("Enter");
    return (await answer).status();
  };
  assert.equal(await give("wrong"), 401);
  await eventually("it is told", async () => (await page.locator("#unlock-said").textContent()) === "That is not its token.");
  assert.equal(await give(TOKEN), 200);
  await isDrawn();
  assert.equal(await field.isVisible(), false);
  const kept = await page.evaluate(() => ({ session: Object.values(sessionStorage), local: { ...localStorage }, cookie: document.cookie, page: document.documentElement.outerHTML + location.href }));
  assert.deepEqual(kept.session, [TOKEN]);
  assert.deepEqual([kept.local, kept.cookie, kept.page.includes(TOKEN)], [{}, "", false]);
  assert.ok(!(await page.locator("#token").inputValue()), "the field is emptied");
  await page.reload();
  await isDrawn();
  const other = await open(browser, one.door, { context });
  await other.load();
  await other.page.getByLabel("Token, as").waitFor();
  await page.getByRole("button", { name: "Forget the token" }).click();
  await field.waitFor();
  assert.equal(await cell("list", "Requests"), null, "and the figures with it");
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  const before = asks("/api/stats");
  assert.equal(await give(TOKEN), 200);
  await isDrawn();
  assert.equal(asks("/api/stats"), before + 1, "nothing is asked while it waits");
  await context.close();
});

test("who gives too many wrong tokens is told how long to wait", LIMIT, async () => {
  const one = await sidecar({ admin: `token = "${TOKEN}"` });
  const { page, context } = await shown(one);
  const field = page.getByLabel("Token, as");
  await field.waitFor();
  let status = 401;
  for (let guess = 0; status === 401 && guess < 12; guess += 1) {
    const answer = page.waitForResponse("**/api/stats");
    await field.fill(`wrong-${guess}`);
    await field.press("Enter");
    status = (await answer).status();
  }
  assert.equal(status, 429);
  await eventually("the wait is told", async () => /wait \d+ s/.test(await page.locator("#unlock-said").textContent()));
  await context.close();
});

test("a store that is down, and what is owed to it, cannot be overlooked", LIMIT, async () => {
  const redis = await startRedis();
  begun.push(redis);
  const one = await sidecar({ store: redis.url });
  await eventually("it keeps answers", async () => (await one.get("/list/1")).includes("hit"));
  const { page, isDrawn, figure, context } = await shown(one);
  await isDrawn();
  assert.deepEqual([await figure("store.state"), await figure("store.kind")], ["up", "Redis"]);
  assert.equal(await page.locator(".notice.bad").count(), 0);
  await redis.stop();
  await eventually("it is noticed", async () => {
    await one.get("/change/1", {}, "POST");
    return (await figure("store.state")) === "down";
  });
  const alert = page.getByRole("alert");
  await eventually("it is loud", async () => /The store is down/.test(await alert.innerText()));
  await eventually("so is the debt", async () => /owed to the store/.test(await alert.innerText()));
  assert.match(await page.title(), /^\(!\)/);
  await context.close();
});

test("a quarantine is loud, and ended from the page after a question", LIMIT, async () => {
  const one = await sidecar();
  const { page, isDrawn, cell, context } = await shown(one);
  await isDrawn();
  await one.get("/leaky/1", { Authorization: "ann" });
  const alert = page.getByRole("alert");
  await eventually("it is told", async () => /leaky is in quarantine/.test(await alert.innerText()));
  assert.match(await cell("leaky", "Stage"), /quarantined/);
  await page.reload();
  const button = page.getByRole("button", { name: "End the quarantine" });
  await button.click();
  await page.getByRole("dialog", { name: "End the quarantine of leaky?" }).getByRole("button", { name: "End it" }).click();
  await eventually("it has ended", async () => !/quarantine/.test(await alert.innerText()));
  assert.equal(await page.locator("#finding-said").textContent(), "leaky is in use again.");
  assert.equal(await button.count(), 0);
  await context.close();
});

test("alerts are shown, and texts that look like markup stay texts", LIMIT, async () => {
  const one = await sidecar();
  await traffic(one);
  const { page, load, isDrawn, cell, seen, context } = await open(browser, one.door);
  const evil = '<img src=x onerror="alert(1)">';
  await page.route("**/api/stats", async (route) => {
    const response = await route.fetch();
    const stats = await response.json();
    const { process } = stats;
    process.rules[evil] = { ...process.rules.list, quarantined: true, stage: evil, ttl: evil };
    const alert = (rule, kind, value, threshold, window = null) => ({ rule, kind, state: "firing", value, threshold, window, at: stats.at });
    process.alerts = [
      alert(evil, "hit-rate", 0.2, 0.5, "10m"), alert(`a-rule-with-a-${"very-".repeat(12)}long-name`, "p99", 140.25, 100, "10m"),
      alert("list", "quarantined", 4, 0), alert("-", "store-down", 40, 30), alert("-", "owed", 61, 60), alert("-", evil, 1, 1),
    ];
    process.writes = [{ at: stats.at, set: evil, count: 1, drops: [evil] }];
    process.errors = [{ at: stats.at, what: "origin", of: evil, count: 2 }];
    await route.fulfill({ response, json: stats });
  });
  await load();
  await isDrawn();
  const alerts = page.getByRole("region", { name: "Active alerts" });
  const text = (await alerts.innerText()).replaceAll("\n", " ");
  assert.ok(text.includes(evil) && /hit-rate.*hit rate 20\.0 %, below 50\.0 %, over 10m.*since \d\d:\d\d:\d\d/.test(text), text);
  assert.equal(await cell(evil, "TTL"), evil);
  assert.ok((await page.locator("#writes").innerText()).includes(evil));
  assert.ok((await page.locator("#errors").innerText()).includes(evil));
  assert.match(text, /p99.*140 ms, above 100 ms, over 10m.*quarantined list.*store-down requests.*owed the store/);
  assert.equal(await page.locator("img").count(), 0);
  assert.deepEqual(seen.complaints, []);
  const folder = process.env.SIDECACHE_SCREENSHOTS;
  for (const [colorScheme, width] of [["light", 1400], ["dark", 1000], ["dark", 360]]) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 800 });
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth), 0);
    if (folder) await page.screenshot({ path: join(folder, `dashboard-alerts-${colorScheme}-${width}.png`) });
  }
  await context.close();
});

test("findings are grouped by the write that they are about, their lines can be copied, and none needs more room than there is", LIMIT, async () => {
  const one = await sidecar();
  await traffic(one);
  const { page, load, isDrawn, seen, context } = await open(browser, one.door);
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const evil = '<img src=x onerror="alert(1)">';
  const write = "PATCH /api/v1/user/update-my-profile";
  const advice = '[[invalidate]]\nname = "patch-profile"\non   = ["PATCH /api/v1/user/update-my-profile"]\ndrop = ["list:*"]';
  const stale = (rule, drop, count) => ({ kind: "stale", rule, write, drop, advice, evidence: { stale: count, of: 34, within_ms: 1850, rate: 0.05 } });
  const findings = [
    stale("list", "list:*", 12), stale(evil, "searched:{claims.email}:*", 1),
    { kind: "restless", rule: "slow", write: null, drop: null, evidence: { at: ["/at"], asked_twice: 9 }, advice: evil },
  ];
  const told = { rate: 0.053, rate_low: 0.033, rate_high: 0.087, oldest_age_s: 75 };
  const verified = { slow: { ...told, stale: 0, fresh: 40, restless: 2 }, list: { ...told, stale: 12, fresh: 260, restless: 4 } };
  await page.route("**/api/audit", (route) => route.fulfill({ json: { findings, verified, only_this_process: true } }));
  await load();
  await isDrawn();
  const items = page.locator("#finding-list > li");
  await eventually("they are shown", async () => (await items.count()) === 2);
  const text = (await items.first().innerText()).replaceAll(/\s+/g, " ");
  assert.match(text, /^stale PATCH \/api\/v1\/user\/update-my-profile changes what is kept/);
  assert.ok(text.includes("list list:* stale in 12 of 34 cases, seen up to 1.85 s after it") && text.includes(evil), text);
  assert.equal(await items.first().locator("pre").textContent(), advice);
  await items.first().getByRole("button", { name: "Copy the lines" }).click();
  await eventually("it is said", async () => /are copied/.test(await page.locator("#finding-said").textContent()));
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), advice);
  assert.equal(await page.getByRole("button", { name: "End the quarantine" }).count(), 0);
  const rows = page.locator("#verified tr");
  assert.equal((await rows.first().innerText()).replaceAll(/\s+/g, " "), "list 272 12 5.3 % (3.3 % to 8.7 %) 75.0 s");
  assert.match(await page.locator("#verified-note").textContent(), /this process alone/);
  assert.equal(await page.locator("img").count(), 0);
  const folder = process.env.SIDECACHE_SCREENSHOTS;
  for (const width of [1400, 360]) {
    await page.setViewportSize({ width, height: 800 });
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth), 0);
    if (folder) await page.locator("#findings").screenshot({ path: join(folder, `dashboard-findings-${width}.png`) });
  }
  assert.deepEqual(seen.complaints, []);
  await context.close();
});

test("an alert comes by itself, is read out, and leaves when it has ended", LIMIT, async () => {
  const lines = 'hit_rate_below = 0.5\nmin_requests = 2\nwindow = "10s"';
  const one = await sidecar({ alerts: lines });
  const { page, isDrawn, seen, context } = await shown(one);
  await isDrawn();
  const alerts = page.getByRole("region", { name: "Active alerts" });
  const said = page.getByRole("status").filter({ hasText: /active/ });
  assert.equal(await alerts.count(), 0);
  let number = 0;
  await eventually("it fires", async () => {
    for (let times = 0; times < 4; times += 1) await one.get(`/list/${(number += 1)}`);
    return (await alerts.count()) === 1;
  });
  assert.match(await alerts.innerText(), /list/);
  assert.match((await alerts.innerText()).replaceAll("\n", " "), /hit-rate list hit rate \d+\.\d %, below 50\.0 %, over 10s since \d\d:\d\d:\d\d/);
  assert.equal(await said.innerText(), "1 alert is active: hit-rate of list.");
  assert.match(await page.title(), /^\(!\)/);
  const folder = process.env.SIDECACHE_SCREENSHOTS;
  if (folder) await page.screenshot({ path: join(folder, "dashboard-alert.png") });
  await eventually("it ends", async () => {
    for (let times = 0; times < 10; times += 1) await one.get("/list/1");
    return (await alerts.count()) === 0;
  }, 2);
  assert.equal(await said.innerText(), "No alert is active any more.");
  assert.doesNotMatch(await page.title(), /^\(!\)/);
  assert.deepEqual(seen.complaints, []);
  await context.close();
});

test("a page that nobody sees asks nothing, and one that gets no answers says how old it is", LIMIT, async () => {
  const one = await sidecar();
  const { page, load, isDrawn, asks, context } = await open(browser, one.door);
  await page.clock.install();
  await load();
  await isDrawn();
  const seenBy = (hidden) => page.evaluate((value) => {
    Object.defineProperty(document, "hidden", { value, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  const first = asks("/api/stats");
  await eventually("it asks again and again", async () => {
    await page.clock.runFor(3000);
    return asks("/api/stats") > first + 2;
  });
  await seenBy(true);
  await page.waitForLoadState("networkidle");
  const before = asks("/api/stats");
  await page.clock.runFor(60_000);
  assert.equal(asks("/api/stats"), before);
  await seenBy(false);
  await eventually("it asks at once", async () => asks("/api/stats") > before);
  await one.stop();
  const alert = page.getByRole("alert");
  await eventually("it is told", async () => {
    await page.clock.runFor(3000);
    return /cannot be reached/.test(await alert.innerText());
  });
  await page.clock.runFor(20_000);
  assert.match(await page.locator("#updated").textContent(), /^Stale: updated \d\d:\d\d:\d\d, \d+ (s|min) ago/);
  await context.close();
});

test("the keyboard alone reaches everything, and where it is can be seen", LIMIT, async () => {
  const { page, isDrawn, context } = await shown(busy);
  await isDrawn();
  const focused = () => page.evaluate(() => {
    const node = document.activeElement;
    const { outlineStyle, outlineWidth } = getComputedStyle(node);
    return { id: node.id || node.textContent.trim(), tag: node.tagName, isRinged: outlineStyle !== "none" && outlineWidth !== "0px" };
  });
  const reached = [];
  for (let steps = 0; steps < 80; steps += 1) {
    await page.keyboard.press("Tab");
    const at = await focused();
    if (at.tag === "BODY") break;
    assert.ok(at.isRinged, JSON.stringify(at));
    reached.push(at.id);
  }
  assert.equal(reached[0], "Skip to the figures");
  for (const wanted of ["traffic", "rates", "times", "Hit rate", "Last drop", "method", "url", "headers", "body", "Explain", "patterns", "Show what would fall"]) {
    assert.ok(reached.includes(wanted), `${wanted}: ${reached}`);
  }
  const chart = page.locator("#times");
  await chart.focus();
  const last = await chart.getAttribute("aria-valuetext");
  await page.keyboard.press("ArrowLeft");
  assert.notEqual(await chart.getAttribute("aria-valuetext"), last);
  assert.equal(await chart.getAttribute("aria-valuenow"), "58");
  const unlabelled = await page.evaluate(() => [...document.querySelectorAll("input, select, textarea")].filter((node) => node.labels.length === 0).map((node) => node.id));
  assert.deepEqual(unlabelled, []);
  assert.deepEqual(await page.evaluate(() => ["main", "header", "nav"].map((name) => document.querySelectorAll(name).length)), [1, 1, 1]);
  await context.close();
});

/** How much brighter one colour is than another (WCAG 2.2). */
function contrast(one, other) {
  const luminance = (hex) => {
    const digits = hex.length === 4 ? [...hex.slice(1)].map((digit) => digit + digit).join("") : hex.slice(1);
    const [red, green, blue] = [0, 2, 4].map((at) => parseInt(digits.slice(at, at + 2), 16) / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
}

const TEXTS = [["text", "panel"], ["text", "ground"], ["dim", "panel"], ["dim", "ground"], ["link", "panel"], ["good", "panel"], ["warn", "panel"], ["warn", "ground"], ["warn", "warn-ground"], ["bad", "panel"], ["bad", "bad-ground"], ["bad", "ground"]];
const DRAWN = ["hits", "fetched", "bypass", "pass", "writes", "would", "limited", "errors"];

for (const colorScheme of ["dark", "light"]) {
  for (const width of [1400, 360]) {
    test(`${colorScheme} at ${width} pixels the page fits, and can be read`, LIMIT, async () => {
      const { page, isDrawn, figure, seen, context } = await shown(busy, { colorScheme, viewport: { width, height: 800 } });
      await isDrawn();
      await busy.get("/list/1");
      const isWide = () => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      const colours = await page.evaluate((names) => Object.fromEntries(names.map((name) => [name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()])), [...new Set([...TEXTS.flat(), ...DRAWN])]);
      for (const [text, ground] of TEXTS) {
        const ratio = contrast(colours[text], colours[ground]);
        assert.ok(ratio >= 4.5, `${text} on ${ground}: ${ratio.toFixed(2)}`);
      }
      for (const name of DRAWN) assert.ok(contrast(colours[name], colours.panel) >= 3, name);
      assert.equal(contrast(colours.panel, "#ffffff") > 10, colorScheme === "dark");
      await page.getByLabel("Path or URL").fill(`/searched?page=${"2".repeat(200)}`);
      await page.getByLabel("Headers, one a line").fill("Host: api.test");
      await page.getByRole("button", { name: "Explain", exact: true }).click();
      await page.getByRole("button", { name: "Purge this key" }).waitFor();
      await eventually("the last minute is known", async () => (await figure("rate.now")) !== "–");
      assert.equal(await isWide(), 0);
      const { scrolls, attached } = await page.locator("#rules .scroll").evaluate((node) => ({ scrolls: node.scrollWidth > node.clientWidth, attached: getComputedStyle(node).backgroundAttachment }));
      assert.equal(scrolls, width === 360);
      assert.equal(attached, "local, scroll, scroll", "a shadow at the edge, which what is there to scroll to covers");
      const folder = process.env.SIDECACHE_SCREENSHOTS;
      if (folder) await page.screenshot({ path: join(folder, `dashboard-${colorScheme}-${width}.png`), fullPage: true });
      await page.getByRole("button", { name: "Purge this key" }).click();
      await page.getByRole("button", { name: "Show what would fall" }).click();
      await page.getByRole("dialog").waitFor();
      assert.equal(await isWide(), 0);
      assert.deepEqual(seen.complaints, []);
      await context.close();
    });
  }
}
