// For tests only, with MIRROR=1: an origin that lets everything it sees shape its answers, so that whatever a cache
// lets through to an answer that others get can be seen there.

// What says how the request came here, or what any client sends and no handler would look at.
const OF_THE_WAY = [
  "host", "connection", "via", "traceparent", "tracestate", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
  "x-real-ip", "content-length", "transfer-encoding", "keep-alive", "te",
];

/** Sets `X-Shaped-By`: how Express reads host, scheme and query, and every other header. */
export function mirror(req, res, next) {
  const headers = Object.entries(req.headers).filter(([name]) => !OF_THE_WAY.includes(name)).sort();
  const query = Object.entries(req.query).sort(); // which name comes first, no handler asks
  const shape = { host: req.host, protocol: req.protocol, query, headers };
  res.set("X-Shaped-By", encodeURIComponent(JSON.stringify(shape)));
  next();
}
