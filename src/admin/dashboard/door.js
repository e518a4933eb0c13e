
// The door: what is asked of it, with the token that somebody typed. It is kept in this tab alone.

const TOKEN = "sidecache-token";
const PATIENCE_MS = 10_000;

class Refused extends Error {
  constructor(status, why, wait = 0) {
    super(why);
    Object.assign(this, { status, wait });
  }
}

// What the token's bytes are as a header's value.
const asHeader = (token) => String.fromCharCode(...new TextEncoder().encode(token));

async function sent(method, path, document) {
  const headers = { Accept: "application/json" };
  const token = sessionStorage.getItem(TOKEN);
  if (token !== null) headers.Authorization = `Bearer ${asHeader(token)}`;
  if (document !== undefined) headers["Content-Type"] = "application/json";
  const body = document === undefined ? undefined : JSON.stringify(document);
  const signal = AbortSignal.timeout(PATIENCE_MS);
  try {
    return await fetch(path, { method, headers, body, signal, cache: "no-store", credentials: "omit", redirect: "error" });
  } catch (error) {
    const why = error.name === "TimeoutError" ? `The door has not answered for ${PATIENCE_MS / 1000} s.` : "The door cannot be reached.";
    throw new Refused(0, why);
  }
}

// Asks the door, and gives its answer as JSON; else says in words why there is none.
async function ask(method, path, document) {
  const had = sessionStorage.getItem(TOKEN);
  const response = await sent(method, path, document);
  const said = await response.json().catch(() => null);
  if (response.ok && said !== null) return said;
  const why = said && typeof said.error === "string" ? said.error : `The door answered ${response.status}.`;
  if (response.status === 429) {
    const wait = Number(response.headers.get("Retry-After")) || 60;
    lock(had);
    throw new Refused(429, `Too many wrong tokens came from here: wait ${wait} s, or give the right one.`, wait);
  }
  if (response.status === 401) {
    lock(had);
    throw new Refused(401, had === null ? "The door asks for its token." : "That is not its token.");
  }
  throw new Refused(response.status, why);
}

// Whether the page waits for a token; nothing is asked meanwhile.
let isLocked = false;

// Forgets a token that was refused, unless another was given meanwhile, with all that was shown to who had it, and
// asks for one.
function lock(refused) {
  if (sessionStorage.getItem(TOKEN) !== refused) return;
  sessionStorage.removeItem(TOKEN);
  const wasLocked = isLocked;
  isLocked = true;
  forgetFigures();
  byId("locked").hidden = false;
  byId("forget").hidden = true;
  if (!wasLocked) byId("token").focus();
}

function unlocked() {
  isLocked = false;
  byId("locked").hidden = true;
  byId("forget").hidden = sessionStorage.getItem(TOKEN) === null;
  say(byId("unlock-said"), "");
}

byId("unlock").addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = byId("token");
  sessionStorage.setItem(TOKEN, field.value.trim());
  field.value = "";
  isLocked = false;
  const said = byId("unlock-said");
  said.className = "said";
  say(said, "Asking …");
  await asking;
  await poll();
  if (isLocked || trouble !== null) {
    said.className = "said bad";
    say(said, trouble === null ? "" : trouble.message);
    field.focus();
  } else {
    byId("main").focus();
  }
});

byId("forget").addEventListener("click", () => {
  const had = sessionStorage.getItem(TOKEN);
  lock(had);
  say(byId("unlock-said"), "");
});

// Says beside a form what came of it.
function tell(node, text, isBad = false) {
  node.className = isBad ? "said bad" : "said";
  say(node, text);
}

// Does something that the door may refuse, once at a time. The button is not disabled: it would lose
// the focus, and whoever has no mouse his place.
async function attempt(button, node, work) {
  if (button.ariaDisabled === "true") return;
  button.ariaDisabled = "true";
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    tell(node, error.message, true);
  } finally {
    button.ariaDisabled = "false";
  }
}

// Asks whether something shall be done, and names all that it does. Whoever closes it says no.
function confirmed(title, text, names, verb) {
  const dialog = byId("confirm");
  say(byId("confirm-title"), title);
  say(byId("confirm-text"), text);
  byId("confirm-names").replaceChildren(...names.map((name) => make("li", { textContent: name })));
  byId("confirm-names").hidden = names.length === 0;
  say(byId("confirm-yes"), verb);
  return new Promise((resolve) => {
    const yes = () => dialog.close("yes");
    const no = () => dialog.close("no");
    dialog.returnValue = "no";
    byId("confirm-yes").addEventListener("click", yes);
    byId("confirm-no").addEventListener("click", no);
    dialog.addEventListener("close", () => {
      byId("confirm-yes").removeEventListener("click", yes);
      byId("confirm-no").removeEventListener("click", no);
      resolve(dialog.returnValue === "yes");
    }, { once: true });
    dialog.showModal();
  });
}
