
// The last hour, minute by minute: three charts with one cursor.

const MINUTES = 60;
const ROOM = { left: 44, right: 6, top: 8, bottom: 18 };

const stacked = [
  ["hits", "hits", (sum) => sum.hits],
  ["fetched", "fetched", (sum) => sum.served - sum.hits],
  ["bypass", "bypass", (sum) => sum.bypass],
  ["pass", "no rule", (sum) => sum.pass],
  ["writes", "writes", (sum) => sum.writes],
  ["would", "observed", (sum) => sum.would],
  ["limited", "limited", (sum) => sum.limited],
  ["errors", "errors", (sum) => sum.errors],
];
const lines = [
  ["hits", "hit p50", "hit_seconds", "p50"],
  ["hits dashed", "hit p95", "hit_seconds", "p95"],
  ["fetched", "origin p50", "origin_seconds", "p50"],
  ["fetched dashed", "origin p95", "origin_seconds", "p95"],
];

let minutes = [];
let cursor = MINUTES - 1;

// The points of an hour in sixty bins, the latest last. Quantiles cannot be added: of each minute the
// slowest step stands for it.
function binned({ at, process }) {
  const end = Math.floor(at / MINUTE_MS);
  const bins = Array.from({ length: MINUTES }, (_, index) => ({ at: (end - MINUTES + 1 + index) * MINUTE_MS, points: [] }));
  for (const point of process.series.points) {
    bins[Math.floor(point.at / MINUTE_MS) - end + MINUTES - 1]?.points.push(point);
  }
  return bins.map(({ at, points }) => {
    const slowest = (of, share) => Math.max(...points.map((point) => point[of]?.[share] ?? 0)) || null;
    const sum = summed(points);
    return { at, sum, known: points.length > 0, rate: rate(sum.hits, sum.served), times: lines.map(([, , of, share]) => points.length > 0 ? slowest(of, share) : null) };
  });
}

// The next of 1, 2, 5, 10, 20 … that is not below.
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

function frame(chart) {
  const { width, height } = chart.getBoundingClientRect();
  const inner = { width: Math.max(1, width - ROOM.left - ROOM.right), height: Math.max(1, height - ROOM.top - ROOM.bottom) };
  const step = inner.width / MINUTES;
  return { ...inner, step, x: (index) => ROOM.left + index * step, y: (share) => ROOM.top + inner.height * (1 - share) };
}

// Lines across at `marks` (share of the height, text) and the hours below.
function grid(size, marks) {
  const nodes = marks.flatMap(([share, text]) => [
    draw("line", { x1: ROOM.left, x2: ROOM.left + size.width, y1: Math.round(size.y(share)), y2: Math.round(size.y(share)) }),
    draw("text", { x: ROOM.left - 6, y: size.y(share) + 4, "text-anchor": "end" }, text),
  ]);
  minutes.forEach(({ at }, index) => {
    if ((at / MINUTE_MS) % 15 !== 0 || index < 2 || index > MINUTES - 4) return;
    nodes.push(draw("text", { x: size.x(index), y: size.y(0) + 14, "text-anchor": "middle" }, minute.format(at)));
  });
  const x = size.x(cursor + 0.5);
  if (cursor < MINUTES - 1) nodes.push(draw("line", { class: "cursor", x1: x, x2: x, y1: ROOM.top, y2: size.y(0) }));
  return nodes;
}

function bars(size) {
  const most = Math.max(...minutes.map(({ sum }) => stacked.reduce((all, [, , of]) => all + of(sum), 0)));
  const top = roundUp(Math.max(most, 5));
  const nodes = grid(size, [[0, "0"], [0.5, count(top / 2)], [1, count(top)]]);
  minutes.forEach(({ sum }, index) => {
    let below = 0;
    for (const [tone, , of] of stacked) {
      const share = of(sum) / top;
      if (share <= 0) continue;
      // One error among thousands is to be seen.
      const height = Math.max(share * size.height, tone === "errors" ? 2 : 0.5);
      const y = Math.max(ROOM.top, size.y(below + share) - (height - share * size.height));
      nodes.push(draw("rect", { class: tone, x: size.x(index) + 0.5, y, width: Math.max(1, size.step - 1), height }));
      below += share;
    }
  });
  return nodes;
}

// A line with gaps where nothing is known; a minute between two gaps is a dash.
function line(size, tone, shares) {
  let path = "";
  let isDrawn = false;
  shares.forEach((share, index) => {
    if (share !== null) path += isDrawn ? `L${size.x(index + 0.5).toFixed(1)} ${size.y(share).toFixed(1)}` : `M${size.x(index).toFixed(1)} ${size.y(share).toFixed(1)}h${size.step.toFixed(1)}`;
    isDrawn = share !== null;
  });
  return draw("path", { class: tone, d: path || "M0 0" });
}

function rateLine(size) {
  const marks = [[0, "0 %"], [0.5, "50 %"], [1, "100 %"]];
  return [...grid(size, marks), line(size, "hits", minutes.map(({ rate }) => rate))];
}

// Hits and the origin are a thousandfold apart: the scale is logarithmic.
function timeLines(size) {
  const known = minutes.flatMap(({ times }) => times).filter((value) => value !== null);
  const low = Math.floor(Math.log10(Math.min(0.001, ...known)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(0.01, ...known))));
  const share = (value) => (value === null ? null : (Math.log10(value) - low) / (high - low));
  const powers = Array.from({ length: high - low + 1 }, (_, index) => low + index);
  const every = Math.ceil(powers.length / 6);
  const unit = (power) => (power < -3 ? `${10 ** (power + 6)} µs` : power < 0 ? `${10 ** (power + 3)} ms` : `${10 ** power} s`);
  const marks = powers.filter((_, index) => index % every === 0).map((power) => [share(10 ** power), unit(power)]);
  return [...grid(size, marks), ...lines.map(([tone], index) => line(size, tone, minutes.map(({ times }) => share(times[index]))))];
}

// Most have no limits, and observe nothing: what an hour has none of stands in no legend.
const isKept = ([tone, , of]) => (tone !== "would" && tone !== "limited") || minutes.some(({ sum }) => of(sum) > 0);

const charts = [
  { id: "traffic", drawn: bars, keys: ({ sum }) => stacked.filter(isKept).map(([tone, name, of]) => [tone, name, count(of(sum))]) },
  { id: "rates", drawn: rateLine, keys: ({ rate, sum }) => [["hits", "hits", percent(rate)], ["", "of answers by rules", count(sum.served)]] },
  { id: "times", drawn: timeLines, keys: ({ times }) => lines.map(([tone, name], index) => [tone, name, seconds(times[index])]) },
];

function showChart({ id, drawn, keys }) {
  const chart = byId(id);
  const figure = chart.closest("figure");
  if (minutes.length === 0) return;
  chart.querySelector("svg").replaceChildren(...drawn(frame(chart)));
  const told = minutes[cursor].known ? keys(minutes[cursor]) : keys(minutes[cursor]).map(([tone, name]) => [tone, name, NONE]);
  figure.querySelector(".legend").replaceChildren(...told.map(([tone, name, value]) =>
    make("li", {}, tone === "" ? null : make("i", { className: tone }), `${name} `, make("b", { textContent: value }))));
  const at = minute.format(minutes[cursor].at);
  say(figure.querySelector("time"), at);
  const said = `${at}: ${told.map(([, name, value]) => `${name} ${value}`).join(", ")}`;
  for (const [name, value] of Object.entries({ valuemin: 0, valuemax: MINUTES - 1, valuenow: cursor, valuetext: said })) {
    chart.setAttribute(`aria-${name}`, value);
  }
}

function showCharts(stats) {
  minutes = binned(stats);
  charts.forEach(showChart);
}

function forgetCharts() {
  minutes = [];
  for (const { id } of charts) {
    const chart = byId(id);
    chart.querySelector("svg").replaceChildren();
    chart.removeAttribute("aria-valuetext");
    chart.closest("figure").querySelector(".legend").replaceChildren();
    say(chart.closest("figure").querySelector("time"), "");
  }
}

function moveTo(index) {
  cursor = Math.min(MINUTES - 1, Math.max(0, index));
  charts.forEach(showChart);
}

for (const { id } of charts) {
  const chart = byId(id);
  chart.addEventListener("pointermove", (event) => {
    const { left, width } = chart.getBoundingClientRect();
    moveTo(Math.floor(((event.clientX - left - ROOM.left) / Math.max(1, width - ROOM.left - ROOM.right)) * MINUTES));
  });
  chart.addEventListener("pointerleave", () => moveTo(MINUTES - 1));
  chart.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: cursor - 1, ArrowRight: cursor + 1, ArrowDown: cursor - 1, ArrowUp: cursor + 1, PageUp: cursor + 10, PageDown: cursor - 10, Home: 0, End: MINUTES - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    moveTo(to);
  });
}
new ResizeObserver(() => charts.forEach(showChart)).observe(byId("traffic"));
