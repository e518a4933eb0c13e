
// What happened lately, and which alerts are on.

const codes = (texts) => texts.map((textContent) => make("code", { textContent }));
const cells = (...all) => make("tr", {}, ...all.map((one) => (Array.isArray(one) ? make("td", {}, ...one) : make("td", { textContent: one }))));
const BY_NO_SET = { auto: "its own path", groups: "groups of the answer", rollout: "sidecars with other rules", purge: "a purge by hand" };
const FAILED = { store: "store", origin: "origin failed", answer: "answered an error", rules: "rules not loaded" };

function rowsOf(body, all, shown, nothing) {
  const text = day.format(Date.now()) + JSON.stringify(all);
  if (body.dataset.shown === text && body.rows.length > 0) return;
  body.dataset.shown = text;
  const rows = all.map(shown);
  if (rows.length === 0) {
    const cell = make("td", { colSpan: 4, textContent: nothing });
    rows.push(make("tr", {}, cell));
  }
  body.replaceChildren(...rows);
}

function stamp(at) {
  return [make("time", { dateTime: new Date(at).toISOString(), title: full(at), textContent: moment(at) })];
}

function showLately({ process }) {
  rowsOf(byId("writes"), process.writes, ({ at, set, count: times, drops }) => {
    const tr = cells(stamp(at), own(BY_NO_SET, set) ?? set, count(times), codes(drops));
    tr.cells[2].className = "num";
    return tr;
  }, "No write has dropped anything since this process began.");
  rowsOf(byId("errors"), process.errors, ({ from, at, what, of, status, count: times }) => {
    const tr = cells(from < at ? [...stamp(from), " – ", ...stamp(at)] : stamp(at), isNumber(status) ? `origin answered ${status}` : (own(FAILED, what) ?? what), of === "-" ? "no rule" : of, count(times));
    tr.cells[1].className = isNumber(status) ? "answered" : "failed";
    tr.cells[3].className = "num";
    return tr;
  }, "None since this process began.");
}

function facts(one, skipped) {
  const said = Object.entries(one).filter(([name, value]) => value !== null && !skipped.includes(name));
  return said.map(([name, value]) => `${name} ${name === "at" && isNumber(value) ? moment(value) : Array.isArray(value) ? value.join(" and ") : typeof value === "object" ? JSON.stringify(value) : value}`).join(", ");
}

const milliseconds = (value) => seconds(isNumber(value) ? value / 1000 : value);

// What each kind of alert means; of a kind that this page does not know, what is told of it.
const ALERTS = {
  "hit-rate": ({ value, threshold, window }) => `hit rate ${percent(value)}, below ${percent(threshold)}, over ${window}`,
  p99: ({ value, threshold, window }) => `99th percentile of hits ${milliseconds(value)}, above ${milliseconds(threshold)}, over ${window}`,
  quarantined: () => "it passes everything: see the audits below",
  "store-down": () => "requests are answered by the origin, and nothing is kept",
  owed: () => "the store has not been told of writes: other sidecars may answer from before them",
};

const meant = (alert) => (own(ALERTS, alert.kind)?.(alert) ?? facts(alert, ["rule", "kind", "state", "at"]));
const named = ({ rule, kind }) => (rule === "-" ? kind : `${kind} of ${rule}`);

let shownAlerts = "";
let saidAlerts = "";

// What is read out changes with what is firing, and not with its figures.
function showAlerts({ process: { alerts } }) {
  const text = day.format(Date.now()) + JSON.stringify(alerts);
  if (text === shownAlerts) return;
  shownAlerts = text;
  byId("alerts").hidden = alerts.length === 0;
  const items = alerts.map((alert) => make("li", {},
    make("span", { className: "tag", textContent: alert.kind }), " ",
    alert.rule === "-" ? null : make("b", { textContent: alert.rule }),
    make("span", { className: "wide", textContent: meant(alert) }),
    make("span", { className: "since" }, "since ", ...stamp(alert.at))));
  byId("alert-list").replaceChildren(...items);
  const said = alerts.map(named).join(", ");
  if (said !== saidAlerts) say(byId("alerts-said"), said === "" ? "No alert is active any more." : `${plural(alerts.length, "alert is", "alerts are")} active: ${said}.`);
  saidAlerts = said;
}

function forgetAlerts() {
  [shownAlerts, saidAlerts] = ["", ""];
  byId("alerts").hidden = true;
  byId("alert-list").replaceChildren();
  say(byId("alerts-said"), "");
}
