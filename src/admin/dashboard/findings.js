// What audits found, what to do about it, and how many hits were held against the origin.

// Audits are asked for seldom, or when a rule's quarantine has begun or ended: each time costs the store a command. No
// figure waits for them.
const AUDIT_EVERY_MS = 60_000;
let auditedAt = 0;
let auditedHeld = "";
let audits = 0;
let shownFindings = "";

async function askAudit(isNow) {
  const held = Object.entries(latest?.process.rules ?? {}).flatMap(([name, rule]) => (rule.quarantined ? [name] : [])).join("\n");
  if (!isNow && held === auditedHeld && Date.now() - auditedAt < AUDIT_EVERY_MS) return;
  [auditedAt, auditedHeld] = [Date.now(), held];
  const audit = (audits += 1);
  const isPast = () => isLocked || audit !== audits; // the token was taken back, or it was asked again
  try {
    const told = await ask("GET", "api/audit");
    if (isPast()) return;
    showFindings(told);
    if (byId("finding-said").className.includes("bad")) tell(byId("finding-said"), "");
  } catch (error) {
    if (!isPast()) tell(byId("finding-said"), `Audits could not be asked: ${error.message}`, true);
  }
}

function showFindings(told) {
  const list = byId("finding-list");
  const text = JSON.stringify(told);
  if (text === shownFindings && list.childElementCount > 0) return;
  shownFindings = text;
  const items = together(told.findings).map(item);
  const none = told.verified === undefined ? "Nothing found: no rule is in quarantine. Hits are not held against the origin ([audit] verify)." : "Nothing found.";
  list.replaceChildren(...(items.length > 0 ? items : [make("li", { className: "dim", textContent: none })]));
  showVerified(told);
}

// Findings that one advice ends: what one write leaves stale.
function together(findings) {
  const groups = new Map();
  for (const finding of findings) {
    const key = JSON.stringify([finding.kind, finding.write, finding.advice]);
    groups.set(key, [...(groups.get(key) ?? []), finding]);
  }
  return [...groups.values()];
}

const CLASSES = { leak: "held", stale: "held", "stale-without-write": "held" };

function item(findings) {
  const [{ kind, rule, write, advice }] = findings;
  const tag = make("span", { className: `tag ${own(CLASSES, kind) ?? "off"}`, textContent: kind });
  if (kind === "stale") {
    const rows = findings.map((one) => make("tr", {}, make("td", { textContent: one.rule }), make("td", {}, make("code", { textContent: one.drop })), make("td", { textContent: seen(one.evidence ?? {}) })));
    return make("li", {},
      make("p", {}, tag, " ", make("b", { textContent: write }), " changes what is kept by these rules, and does not drop it:"),
      make("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: `What ${write} leaves stale` }, make("table", { className: "list" }, make("tbody", {}, ...rows))),
      ...ruleLines(advice));
  }
  const parts = [
    make("p", {}, tag, " ", make("b", { textContent: rule ?? NONE }), ...(write ? [" ", make("code", { textContent: write })] : []), ` ${facts(findings[0].evidence ?? {}, [])}`),
    make("p", { textContent: advice }),
  ];
  if (kind === "leak") {
    const button = make("button", { type: "button", textContent: "End the quarantine" });
    button.addEventListener("click", () => release(button, rule));
    parts.push(button);
  }
  return make("li", {}, ...parts);
}

function seen({ stale, of, within_ms: within, fetched_changed: changed, fetched_the_same: same }) {
  const anew = changed > 0 ? `; of ${count(changed + same)} fetched anew after it, ${count(changed)} had changed` : "";
  return `stale in ${count(stale)} of ${plural(of, "case", "cases")}, seen up to ${milliseconds(within)} after it${anew}`;
}

// Lines of a rules file, to be copied.
function ruleLines(text) {
  const block = make("pre", { textContent: text, tabIndex: 0 });
  const button = make("button", { type: "button", textContent: "Copy the lines" });
  button.addEventListener("click", () => attempt(button, byId("finding-said"), async () => {
    await navigator.clipboard.writeText(text);
    tell(byId("finding-said"), "The lines are copied: put them into the rules file, which is read again by itself.");
  }));
  return [block, button];
}

// How many of the hits that were held against the origin were stale, rule by rule.
function showVerified({ verified, only_this_process: isAlone, processes_not_heard: notHeard }) {
  const rules = Object.entries(verified ?? {}).sort(([, one], [, other]) => other.stale - one.stale);
  byId("verified-panel").hidden = rules.length === 0;
  const rows = rules.map(([name, { stale, fresh, rate, rate_low: low, rate_high: high, oldest_age_s: oldest }]) => make("tr", {},
    make("th", { scope: "row", textContent: name }),
    make("td", { className: "num", textContent: count(stale + fresh) }),
    make("td", { className: "num", textContent: count(stale) }),
    make("td", { className: "num", textContent: `${percent(rate)} (${percent(low)} to ${percent(high)})` }),
    make("td", { className: "num", textContent: stale > 0 ? seconds(oldest) : NONE })));
  byId("verified").replaceChildren(...rows);
  const part = notHeard > 0 ? `Without what ${count(notHeard)} other processes told: the fleet has more to tell than is read at a time.` : "";
  say(byId("verified-note"), isAlone ? "Of this process alone: the fleet could not be heard." : part);
}

async function release(button, rule) {
  const text = "In the whole fleet, answers of this rule are kept and shared again. If they still differ by who asks, somebody gets somebody else's until an audit finds it again.";
  if (!(await confirmed(`End the quarantine of ${rule}?`, text, [rule], "End it"))) return;
  await attempt(button, byId("finding-said"), async () => {
    const { released } = await ask("POST", "api/release", { rule });
    tell(byId("finding-said"), released ? `${rule} is in use again.` : `${rule} was in no quarantine any more.`);
    await askAudit(true);
    byId("finding-list").focus();
    await poll();
  });
}
