// Everything that the environment may change, read once.

const number = (env, name, fallback) => {
  const value = Number(env[name] || fallback);
  if (!Number.isFinite(value)) throw new Error(`${name} must be a number, not "${env[name]}"`);
  return value;
};

/** All latencies are in milliseconds; `routeLatency` maps "GET /api/v1/doctor/:id" to one. */
export function readSettings(env = process.env) {
  return {
    port: number(env, "PORT", 5000),
    host: env.HOST || "127.0.0.1",
    jwtSecret: env.JWT_SECRET || "clinic-secret",
    webhookSecret: env.WEBHOOK_SECRET || "whsec_clinic",
    queryLatency: number(env, "QUERY_LATENCY_MS", 0),
    aiLatency: number(env, "AI_LATENCY_MS", 0),
    aiMode: env.AI_MODE || "ok",
    routeLatency: JSON.parse(env.ROUTE_LATENCY || "{}"),
    // Requests per peer address in 15 minutes. The real service says 100; tests want no limit.
    rateLimit: number(env, "RATE_LIMIT", 1_000_000),
    trustProxy: env.TRUST_PROXY || "loopback",
    mirror: env.MIRROR === "1",
    origins: (env.CORS_ORIGINS || "http://localhost:3000,http://localhost:3001").split(","),
  };
}
