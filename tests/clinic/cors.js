// Cross-origin rules: known origins may send credentials, and every answer varies by Origin.

const METHODS = "GET,HEAD,PUT,PATCH,POST,DELETE";

export function cors(origins) {
  return (req, res, next) => {
    res.vary("Origin");
    if (origins.includes(req.headers.origin)) {
      res.set("Access-Control-Allow-Origin", req.headers.origin);
      res.set("Access-Control-Allow-Credentials", "true");
    }
    if (req.method !== "OPTIONS" || !req.headers["access-control-request-method"]) return next();
    res.set("Access-Control-Allow-Methods", METHODS);
    res.set("Access-Control-Allow-Headers", req.headers["access-control-request-headers"] ?? "");
    res.vary("Access-Control-Request-Headers");
    res.status(204).end();
  };
}
