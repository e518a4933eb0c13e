// A fixed window per peer address, told in RateLimit-* headers.

const WINDOW_MS = 15 * 60 * 1000;

export function rateLimit(limit) {
  const windows = new Map();
  return (req, res, next) => {
    const now = Date.now();
    let window = windows.get(req.ip);
    if (!window || window.end <= now) windows.set(req.ip, (window = { used: 0, end: now + WINDOW_MS }));
    window.used += 1;

    const reset = Math.ceil((window.end - now) / 1000);
    res.set("RateLimit-Policy", `${limit};w=${WINDOW_MS / 1000}`);
    res.set("RateLimit-Limit", String(limit));
    res.set("RateLimit-Remaining", String(Math.max(0, limit - window.used)));
    res.set("RateLimit-Reset", String(reset));
    if (window.used <= limit) return next();
    res.set("Retry-After", String(reset));
    res.status(429).json({ success: false, message: "Too many requests, please try again later." });
  };
}
