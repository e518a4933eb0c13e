
// Explain a request, and purge a pattern.

const part = (title, ...nodes) => [make("h3", { textContent: title }), ...nodes];
const list = (texts) => make("ul", {}, ...texts.map((text) => make("li", {}, ...[text].flat())));
const code = (textContent) => make("code", { textContent });
const place = (line) => (isNumber(line) ? `line ${line}: ` : "");
const joined = (texts) => codes(texts).flatMap((node, index) => (index > 0 ? [", ", node] : [node]));

// What somebody wrote, one header a line.
function headersOf(text) {
  const headers = {};
  for (const written of text.split("\n").filter((one) => one.trim() !== "")) {
    const colon = written.indexOf(":");
    if (colon < 1) throw new Refused(0, `“${written}” is not a header: write Name: value.`);
    const name = written.slice(0, colon).trim();
    (headers[name] ??= []).push(written.slice(colon + 1).trim());
  }
  return headers;
}

function keyParts(key) {
  const filled = key.parts.filter(({ template, value }) => template !== value);
  return filled.map(({ template, value, of }) => [code(template), " is ", code(value), ...(of?.length ? [" of ", code(of.join("&"))] : [])]);
}

function purgeButton(name) {
  const button = make("button", { type: "button", textContent: "Purge this key …" });
  button.addEventListener("click", () => {
    byId("patterns").value = name;
    byId("purge").scrollIntoView({ block: "nearest" });
    byId("patterns").focus();
  });
  return make("p", {}, button);
}

const when = (text) => (text ? [`, when ${text}`] : []);

// An explanation as it is read: the verdict, why, and what follows.
function explained(told) {
  const nodes = [
    make("p", { className: "verdict" }, make("span", { className: `tag ${told.verdict}`, textContent: told.verdict }), told.summary),
    make("p", { className: "dim" }, code(told.request)),
  ];
  const add = (title, items) => items?.length && nodes.push(...part(title, list(items)));
  add("Assumed", told.assumed);
  if (told.rule) add("Rule", [[make("b", { textContent: told.rule.name }), `, ${place(told.rule.line)}`, code(told.rule.route), told.rule.stage === "on" ? "" : `, stage ${told.rule.stage}`]]);
  add("Limits", told.limits?.map(({ name, line, per, max, window }) => [make("b", { textContent: name }), `, ${place(line)}${max} in ${window} per `, code(per)]));
  add("Because", told.reasons?.map(({ detail, why, line, remedy }) => [code(detail), ` ${why}`, make("p", { className: "remedy" }, `→ ${place(line)}`, remedy)]));
  if (told.key) {
    add("Key", [[code(told.key.name)], ...keyParts(told.key)]);
    add("Varies by", told.key.variants);
    add("Shared by", told.shared_by ? [told.shared_by] : []);
    add("Falls with", [joined(told.key.nodes)]);
    nodes.push(purgeButton(told.key.name));
  }
  if (told.fill) add("The origin is asked", [[code(told.fill.request)], ["sent: ", told.fill.headers.join(", ") || "no header of the client's"], ["withheld: ", told.fill.withheld.join(", ") || "nothing"]]);
  add("Kept if", told.kept_if);
  add("Dropped by", told.dropped_by?.map(({ set, line, on, drop, when: condition }) => [set ? `${set}, ${place(line)}` : "", ...joined(on), " → ", code(drop), ...when(condition)]));
  add("Drops", told.drops?.map(({ set, line, drop, nodes: fallen, rules }) => [...joined(fallen), ` by ${set ?? "its own path"}, ${place(line)}`, code(drop), `: answers of ${rules.join(", ")}`]));
  add("Note", told.notes);
  return nodes;
}

byId("explain-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const said = byId("explain-said");
  attempt(event.submitter ?? byId("explain-form").querySelector("button"), said, async () => {
    byId("explained").replaceChildren();
    tell(said, "");
    const body = byId("body").value;
    const question = { method: byId("method").value, url: byId("url").value.trim(), headers: headersOf(byId("headers").value), ...(body === "" ? {} : { body }) };
    byId("explained").replaceChildren(...explained(await ask("POST", "api/explain", question)));
    byId("explained").focus({ preventScroll: true });
  });
});

async function purge(said) {
  const drop = byId("patterns").value.split("\n").map((one) => one.trim()).filter((one) => one !== "");
  tell(said, "");
  if (drop.length === 0) throw new Refused(0, "Write a pattern first, as keys are written: doctors:list:*");
  const { would_drop: names } = await ask("POST", "api/purge", { drop, dry_run: true });
  const everything = names.includes("*") ? " * is everything: all that this namespace keeps." : "";
  const owing = latest?.process.store.state === "down" ? " The store is down now: they are owed to it until it can be told." : "";
  const text = `These fall in the whole fleet with all that is kept below them, and the origin is asked for it again.${everything}${owing}`;
  if (!(await confirmed(`Drop ${plural(names.length, "node", "nodes")}?`, text, names, "Drop"))) {
    tell(said, "Nothing was dropped.");
    return;
  }
  const { dropped, owed } = await ask("POST", "api/purge", { drop });
  if (owed) tell(said, `The store cannot be told now. Owed, and dropped as soon as it can: ${owed.join(", ")}`, true);
  else tell(said, `Dropped: ${dropped.join(", ")}`);
}

byId("purge-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const said = byId("purge-said");
  attempt(event.submitter ?? byId("purge-form").querySelector("button"), said, () => purge(said));
});
