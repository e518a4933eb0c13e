
// How things are written, and how they get onto the page: always as text. What comes from the door may
// hold anything, and is never read as markup.

const SVG = document.querySelector("svg").namespaceURI;
const NONE = "–";

const byId = (id) => document.getElementById(id);

// An element. `props` are properties of it; children are nodes or texts.
function make(tag, props = {}, ...children) {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function draw(tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

// Touches what has changed alone: a selection and a reader's place survive.
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

function count(value) {
  if (!isNumber(value)) return NONE;
  return Math.abs(value) < 100_000 ? whole.format(Math.round(value)) : short.format(value);
}

// Cut off, not rounded: 99.97 % is not all.
function percent(share) {
  if (!isNumber(share)) return NONE;
  return share >= 1 ? "100 %" : `${(Math.floor(share * 1000 + 1e-6) / 10).toFixed(1)} %`;
}

const digits = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));

function seconds(value) {
  if (!isNumber(value)) return NONE;
  if (value === 0) return "0 s";
  if (value < 0.001) return `${Math.round(value * 1e6)} µs`;
  if (value < 1) return `${digits(value * 1000)} ms`;
  if (value < 120) return `${digits(value)} s`;
  return span(value);
}

// A long time, by its two largest units.
function span(value) {
  const units = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const at = units.findIndex(([size]) => value >= size);
  if (at < 0) return "0 s";
  const [size, unit] = units[at];
  if (size === 1) return `${Math.floor(value)} s`;
  const [next, below] = units[at + 1];
  return `${whole.format(Math.floor(value / size))} ${unit} ${Math.floor((value % size) / next)} ${below}`;
}

function bytes(value) {
  if (!isNumber(value)) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  for (; value >= 1024 && at < units.length - 1; at += 1) value /= 1024;
  return `${at === 0 ? value : digits(value)} ${units[at]}`;
}

const time = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minute = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const clock = (ms) => time.format(ms);
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
// The time, with its date where that is not today's.
const moment = (ms) => (day.format(ms) === day.format(Date.now()) ? clock(ms) : `${day.format(ms)}, ${clock(ms)}`);
const full = (ms) => new Date(ms).toISOString().replace("T", " ").replace(/\.\d+Z/, " UTC");

// How long ago, for a table: one unit.
function ago(ms, now) {
  if (!isNumber(ms)) return NONE;
  const past = Math.max(0, (now - ms) / 1000);
  if (past < 60) return `${Math.floor(past)} s ago`;
  if (past < 3600) return `${Math.floor(past / 60)} min ago`;
  return past < 172_800 ? `${Math.floor(past / 3600)} h ago` : `${Math.floor(past / 86_400)} d ago`;
}

// What an answer has under a name, and not what every object has.
const own = (all, name) => (Object.hasOwn(all, name) ? all[name] : undefined);

const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;
