
// The table of rules. Its headings sort it.

const byNumber = (of) => (one) => of(one) ?? -Infinity;
const STAGES = ["on", "observe", "off"];

// A rule that is only observed counts what it would have done; that stands in brackets.
// What would have been served, held against what the origin answered.
const compared = ({ same, differs }) => (differs > 0 ? ["held", `${count(differs)} of ${count(same + differs)} differ`] : ["same", `${count(same)} the same`]);
const would = (rule) => rate(rule.would_hit, rule.would_hit + rule.would_miss);
const isObserved = (one) => one.stage === "observe";
const hitRate = (one) => (isObserved(one) ? would(one.counts) : one.counts.hit_rate);

function hitRateText(one) {
  const text = percent(hitRate(one));
  return isObserved(one) && hitRate(one) !== null ? `(${text})` : text;
}

function hitsText({ counts, ...one }) {
  return isObserved(one) ? `(${count(counts.would_hit)})` : count(counts.hits);
}

// What an observed rule would have saved is what its would-be hits took at the origin.
const savedSeconds = (one) => (isObserved(one) ? one.counts.would_hit * (one.counts.origin_seconds?.p50 ?? 0) : one.counts.seconds_saved);
const savedText = (one) => (isObserved(one) ? `(${seconds(savedSeconds(one))})` : seconds(savedSeconds(one)));

function ttlSeconds({ ttl }) {
  const parts = /^(\d+)(ms|s|m|h|d)$/.exec(ttl ?? "");
  return parts === null ? -1 : Number(parts[1]) * { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 }[parts[2]];
}

// What failed at the origin is mostly an error for the client too: not the sum.
const failures = ({ counts }) => Math.max(counts.errors, counts.origin_errors);
const fetched = ({ counts }) => counts.misses + counts.collapsed + counts.revalidated;

// Heading, what it sorts by, and what stands in it. A column that sorts by text is aligned left.
const columns = [
  { name: "Rule", of: (one) => one.name, isText: true },
  { name: "Stage", of: (one) => (one.quarantined ? -1 : STAGES.indexOf(one.stage)), show: tags, isText: true },
  { name: "TTL", of: ttlSeconds, text: (one) => one.ttl ?? NONE },
  { name: "Hit rate", of: byNumber(hitRate), text: hitRateText },
  { name: "Last hour", of: byNumber((one) => one.hour), text: (one) => percent(one.hour) },
  { name: "Requests", of: (one) => one.counts.requests, text: (one) => count(one.counts.requests) },
  { name: "Hits", of: (one) => (isObserved(one) ? one.counts.would_hit : one.counts.hits), text: hitsText },
  { name: "Fetched", of: fetched, text: (one) => count(fetched(one)) },
  { name: "Bypass", of: (one) => one.counts.bypass, text: (one) => count(one.counts.bypass) },
  { name: "Errors", of: failures, text: (one) => count(failures(one)) },
  { name: "Origin 4xx", of: byNumber((one) => one.counts.origin_4xx), text: (one) => count(one.counts.origin_4xx) },
  { name: "Origin 5xx", of: byNumber((one) => one.counts.origin_5xx), text: (one) => count(one.counts.origin_5xx), tone: "answered" },
  { name: "Hit p95", of: byNumber((one) => one.counts.hit_seconds?.p95), text: (one) => seconds(one.counts.hit_seconds?.p95) },
  { name: "Origin p50", of: byNumber((one) => one.counts.origin_seconds?.p50), text: (one) => seconds(one.counts.origin_seconds?.p50) },
  { name: "Origin p95", of: byNumber((one) => one.counts.origin_seconds?.p95), text: (one) => seconds(one.counts.origin_seconds?.p95) },
  { name: "Origin asked", of: (one) => one.counts.origin_requests, text: (one) => count(one.counts.origin_requests) },
  { name: "Time saved", of: savedSeconds, text: savedText },
  { name: "Last drop", of: byNumber((one) => one.dropped), text: (one, now) => ago(one.dropped, now) },
];

let sorted = { column: 5, ascending: false };
let rowsByName = new Map();

function tags(one) {
  const words = [];
  if (one.quarantined) words.push(["held", "quarantined"]);
  if (one.stage !== "on") words.push([one.stage === "observe" ? "observe" : "off", one.stage ?? "not in force here"]);
  if (isObserved(one) && one.observed.same + one.observed.differs > 0) words.push(compared(one.observed));
  if (one.counts.requests === 0) words.push(["never", "never asked"]);
  if (words.length === 0) return ["on"];
  return words.flatMap(([tone, text], index) => [index > 0 ? " " : "", make("span", { className: `tag ${tone}`, textContent: text })]);
}

// The rules of what is chosen to be counted. What only this process knows stands beside either.
function ruleRows({ process, fleet }) {
  const isFleet = document.querySelector('input[name="scope"]:checked').value === "fleet";
  const none = Object.fromEntries(["requests", "hits", "misses", "collapsed", "revalidated", "bypass", "errors", "origin_errors", "origin_requests", "would_hit", "would_miss", "seconds_saved"].map((name) => [name, 0]));
  const names = new Set([...Object.keys(process.rules), ...(isFleet ? Object.keys(fleet.rules) : [])]);
  return [...names].map((name) => {
    const here = own(process.rules, name);
    const counts = (isFleet ? own(fleet.rules, name) : here) ?? { ...none, hit_rate: null };
    return { name, counts, stage: here?.stage, ttl: here?.ttl, hour: here?.hit_rate_hour ?? null, dropped: here?.last_drop ?? null, quarantined: here?.quarantined === true, observed: here?.observed, line: here?.line ?? null };
  });
}

function compare(one, other) {
  const { of } = columns[sorted.column];
  const [a, b] = [of(one), of(other)];
  const order = typeof a === "string" ? a.localeCompare(b) : a - b;
  const way = sorted.ascending ? order : -order;
  return way || one.name.localeCompare(other.name);
}

function row(one, now) {
  const known = rowsByName.get(one.name);
  const tr = known ?? make("tr", {}, ...columns.map(({ isText }, index) => make(index === 0 ? "th" : "td", { className: isText ? "text" : "" })));
  tr.className = one.quarantined ? "held" : one.counts.requests === 0 ? "unasked" : "";
  columns.forEach((column, index) => {
    const cell = tr.cells[index];
    if (index === 0) {
      cell.scope = "row";
      cell.title = one.line === null ? "" : `line ${one.line} of the rules file`;
      say(cell, one.name);
    } else if (column.show !== undefined) {
      const shown = make("td", {}, ...column.show(one));
      if (shown.textContent !== cell.textContent) cell.replaceChildren(...shown.childNodes);
    } else {
      say(cell, column.text(one, now));
      if (column.tone !== undefined) cell.className = column.of(one) > 0 ? column.tone : "";
    }
  });
  return tr;
}

function showRules(stats) {
  const rows = ruleRows(stats).sort(compare);
  const next = new Map(rows.map((one) => [one.name, row(one, stats.at)]));
  const body = byId("rule-table").tBodies[0];
  const order = [...next.values()];
  // Moved only where the order has changed: a row that stays keeps its selection.
  if (order.length !== body.rows.length || order.some((tr, index) => body.rows[index] !== tr)) body.replaceChildren(...order);
  rowsByName = next;
  const { unruled } = stats.process;
  const observed = rows.some(isObserved) ? " In brackets: what an observed rule would have done. Where it would have hit, what it would have served is compared with what the origin answers." : "";
  say(byId("unruled"), `Without a rule: ${count(unruled.pass)} passed, ${plural(unruled.writes, "write", "writes")}, ${plural(unruled.errors, "error", "errors")}. Stage, TTL, last hour, the origin's 4xx and 5xx, last drop and quarantine are as this process has them.${observed}`);
  say(byId("fleet-size"), `${plural(stats.fleet.processes, "process", "processes")} now; the fleet's counts outlive them`);
}

function showLimits({ process: { limits } }) {
  const all = Object.entries(limits);
  byId("limits").hidden = all.length === 0;
  rowsOf(byId("limit-list"), all, ([name, { allowed, limited, unenforced }]) => {
    const tr = cells(name, count(allowed), count(limited), count(unenforced));
    [...tr.cells].slice(1).forEach((cell) => { cell.className = "num"; });
    if (unenforced > 0) tr.cells[3].className = "num failed";
    return tr;
  }, "");
}

function forgetRules() {
  byId("rule-table").tBodies[0].replaceChildren();
  rowsByName = new Map();
}

function markSorted() {
  [...byId("rule-table").tHead.rows[0].cells].forEach((cell, index) => {
    if (index === sorted.column) cell.setAttribute("aria-sort", sorted.ascending ? "ascending" : "descending");
    else cell.removeAttribute("aria-sort");
  });
}

function sortBy(column) {
  const isSame = sorted.column === column;
  // Numbers are looked at from the largest, names from the first.
  sorted = { column, ascending: isSame ? !sorted.ascending : columns[column].isText === true };
  markSorted();
  if (latest !== null) showRules(latest);
}

byId("rule-table").tHead.rows[0].append(...columns.map(({ name, isText }, index) => {
  const button = make("button", { type: "button", textContent: name });
  button.addEventListener("click", () => sortBy(index));
  return make("th", { scope: "col", className: isText ? "text" : "" }, button);
}));
markSorted();
for (const input of document.querySelectorAll('input[name="scope"]')) {
  input.addEventListener("change", () => latest !== null && showRules(latest));
}
