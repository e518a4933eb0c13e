// Sends requests through the sidecar as the web front end does, and counts what came of them.

// Far above the slowest answer, so that nothing waits for ever.
const TIMEOUT_MS = 60_000;

/** `send` gives `{ status, text, hit, ms, cacheStatus }`; `control` talks to the clinic behind the sidecar's back. */
export function createClient(sidecar, clinic) {
  const totals = { sent: 0, hits: 0, spared: 0 };

  const send = async ({ method = "GET", path, token, body, headers, queries = 0 }) => {
    const began = performance.now();
    const response = await fetch(sidecar + path, {
      method,
      // The front end sends its cookie with every call, public ones too.
      headers: {
        ...(token && { cookie: `accessToken=${token}` }),
        ...(typeof body === "object" && { "content-type": "application/json" }),
        ...headers,
      },
      body: typeof body === "object" ? JSON.stringify(body) : body,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await response.text();
    const ms = performance.now() - began;
    const cacheStatus = response.headers.get("cache-status") ?? "";
    const hit = isHit(cacheStatus);
    totals.sent += 1;
    if (hit) {
      totals.hits += 1;
      totals.spared += queries;
    }
    return { status: response.status, text, hit, ms, cacheStatus };
  };

  const control = async (method, path, body) => {
    const response = await fetch(`${clinic}/__clinic${path}`, {
      method,
      headers: body && { "content-type": "application/json" },
      body: body && JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`the clinic answered ${response.status} to ${method} ${path}`);
    return response.json();
  };
  return { send, control, totals };
}

/** RFC 9211: the members are separated by commas, parameters by semicolons; `hit` is a parameter of ours. */
export function isHit(cacheStatus) {
  const ours = cacheStatus.split(",").map((member) => member.trim()).filter((member) => /^sidecache\b/.test(member));
  return ours.some((member) => member.split(";").slice(1).some((parameter) => parameter.trim() === "hit"));
}
