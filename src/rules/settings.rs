//! The checked form of `[proxy] [admin] [local] [store] [alerts] [identity]`: no option left to unwrap, no
//! text left to parse.

use crate::secret::Secret;
use hyper::header::{HeaderName, HeaderValue};
use ipnet::IpNet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where a listener stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// `127.0.0.1:8080`
    Tcp(SocketAddr),
    /// `unix:/run/sidecache.sock`
    Unix(PathBuf),
}

/// Where the origin is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OriginAddress {
    /// `http://host:port`
    Http {
        /// Name or address, without brackets.
        host: String,
        /// Port, 80 where none is written.
        port: u16,
    },
    /// `https://host:port`
    Https {
        /// Name or address, without brackets; also the name asked of the certificate.
        host: String,
        /// Port, 443 where none is written.
        port: u16,
    },
    /// `unix:/path`
    Unix(PathBuf),
}

impl OriginAddress {
    /// The `Host` of a request to it that names none of its own.
    pub fn host(&self) -> HeaderValue {
        let localhost = HeaderValue::from_static("localhost");
        match self {
            OriginAddress::Http { host, port } | OriginAddress::Https { host, port } => {
                let name = if host.contains(':') {
                    format!("[{host}]")
                } else {
                    host.clone()
                };
                HeaderValue::try_from(format!("{name}:{port}")).unwrap_or(localhost)
            }
            OriginAddress::Unix(_) => localhost,
        }
    }
}

/// How paths are compared with patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// Literals without regard to case, one optional slash at the end.
    Express,
    /// Neither.
    Strict,
}

/// `[proxy]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxySettings {
    /// Default `0.0.0.0:8080`.
    pub listen: Listen,
    /// Default `http://127.0.0.1:5000`.
    pub origin: OriginAddress,
    /// Until response headers. Default 30 s.
    pub origin_timeout: Duration,
    /// Default 2 s.
    pub connect_timeout: Duration,
    /// Of pooled connections to the origin. Default 4 s.
    pub idle_timeout: Duration,
    /// Lower-case names whose answers are the same. `None` where left out: Host is then a variant.
    pub hosts: Option<Vec<String>>,
    /// Networks whose `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Default `Express`.
    pub routing: Routing,
    /// Bytes of a request body read to make a key or a drop. Default 64 KiB.
    pub max_keyed_body: usize,
    /// Default 30 s.
    pub drain_timeout: Duration,
    /// Default true.
    pub auto_invalidate: bool,
    /// Whether `Cache-Status` is sent. Default true.
    pub cache_status: bool,
    /// What one client may take of time and room.
    pub limits: ClientLimits,
    /// Fields by which an origin speaks to us before it speaks to all caches (RFC 9213), the first
    /// that counts first. Default `CDN-Cache-Control`.
    pub cache_control_targets: Vec<HeaderName>,
}

/// What clients may take of time and room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// From the first byte of a request's head to its last.
    pub head_timeout: Duration,
    /// Between two pieces of a request's body, while we wait for the next.
    pub body_timeout: Duration,
    /// Of a connection on which nothing is asked.
    pub idle_timeout: Duration,
    /// Bytes of a request's head.
    pub max_head: usize,
    /// Bytes of a request's body. `None`: any.
    pub max_body: Option<u64>,
    /// Connections at a time.
    pub max_connections: usize,
    /// Connections at a time from one address. `None`: any, as behind a load balancer.
    pub max_connections_per_client: Option<usize>,
}

impl Default for ClientLimits {
    /// Generous for a person on a bad line, short for whoever holds connections open on purpose.
    fn default() -> ClientLimits {
        ClientLimits {
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75), // longer than a load balancer's usual 60 s
            max_head: 64 << 10,                    // four times what Node takes
            max_body: None,
            max_connections: 10_000,
            max_connections_per_client: None,
        }
    }
}

/// `[admin]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// Default `127.0.0.1:9090`.
    pub listen: Listen,
    /// Required off loopback.
    pub token: Option<Secret<String>>,
}

/// `[local]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalSettings {
    /// Bytes of this process's memory tier. Default 64 MiB.
    pub max: usize,
}

/// Which store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// `memory:`
    Memory,
    /// `redis://`, `rediss://`, `redis+unix://`, verbatim (it may hold a password).
    Redis(Secret<String>),
}

/// How kept bodies are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compress {
    /// Not at all.
    None,
    /// LZ4 block format.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// Files for TLS to the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreTls {
    /// PEM file of authorities trusted beside the compiled-in roots.
    pub ca: Option<PathBuf>,
    /// PEM file of a client certificate.
    pub cert: Option<PathBuf>,
    /// PEM file of its key.
    pub key: Option<PathBuf>,
}

/// What becomes of a write that something kept hangs on, while the store cannot be told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDown {
    /// It is forwarded, and its drops are owed.
    Forward,
    /// It is answered 503.
    Refuse,
}

/// What becomes of what a Redis holds that is not the server that it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failover {
    /// It is dropped: the server may have lost a deletion that a client was told of.
    Drop,
    /// It is believed.
    Trust,
}

/// What values in the store are sealed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealSettings {
    /// `seal`: seals from now on.
    pub current: Secret<[u8; SEAL_KEY_BYTES]>,
    /// `seal_previous`: what they sealed still opens. The last one also makes the names of keys, so
    /// that these stay as they are while a fleet changes over.
    pub previous: Vec<Secret<[u8; SEAL_KEY_BYTES]>>,
}

/// Bytes of a sealing key.
pub const SEAL_KEY_BYTES: usize = 32;

impl SealSettings {
    /// The key by which names are made.
    pub fn of_names(&self) -> &Secret<[u8; SEAL_KEY_BYTES]> {
        self.previous.last().unwrap_or(&self.current)
    }
}

/// The periods that a budget is for, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// A day.
    Day,
    /// A month.
    Month,
}

impl Per {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Per::Day => "day",
            Per::Month => "month",
        }
    }
}

/// `budget = { commands = …, per = … }`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetSettings {
    /// As the provider bills them.
    pub commands: u64,
    /// In which so many may be spent.
    pub per: Per,
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// Default `memory:`.
    pub url: StoreUrl,
    /// Per command. Default 250 ms.
    pub timeout: Duration,
    /// Bytes of a body that is kept. Default 1 MiB.
    pub max_entry: usize,
    /// Default LZ4.
    pub compress: Compress,
    /// Whether and with what values are sealed and names hidden. A store that is memory shows neither.
    pub seal: Option<SealSettings>,
    /// Files for `rediss://`.
    pub tls: StoreTls,
    /// How long a write may take to commit and still be safe against the death of its sidecar.
    /// Default `origin_timeout` and 5 s, never below `origin_timeout`.
    pub write_lease: Duration,
    /// Default `Forward`.
    pub on_down: OnDown,
    /// Default `Drop`.
    pub failover: Failover,
    /// The file that keeps owed drops over a crash. Default none.
    pub journal: Option<PathBuf>,
    /// What a fleet may spend. Default: whatever it takes.
    pub budget: Option<BudgetSettings>,
}

/// `[audit]`
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AuditSettings {
    /// The share of fetches of public rules, for clients with a credential, after which the origin is
    /// asked again with and without it. From 0 to 1, default 0.
    pub leak: f64,
    /// The share of hits after which the origin is asked whether it still says the same. From 0 to 1, default 0.
    pub verify: f64,
    /// The share of all paths that is looked at, at a time, where no rule is there for what passes. From 0 to 1,
    /// default 0.
    pub propose: f64,
}

/// `[alerts]`
#[derive(Clone, Debug, PartialEq)]
pub struct AlertSettings {
    /// The share of hits, above 0 and below 1, under which a rule is told of.
    pub hit_rate_below: Option<f64>,
    /// What the 99th percentile of a rule's hits may take, less than 30 s.
    pub p99_above: Option<Duration>,
    /// Within the window, or nothing is said of a rule. Default 200.
    pub min_requests: u64,
    /// Over which rules are judged: 10 s to an hour, in steps of 10 s. Default ten minutes.
    pub window: Duration,
    /// Who is told.
    pub webhook: Option<Webhook>,
}

impl Default for AlertSettings {
    fn default() -> AlertSettings {
        AlertSettings {
            hit_rate_below: None,
            p99_above: None,
            min_requests: 200,
            window: Duration::from_secs(600),
            webhook: None,
        }
    }
}

/// Where alerts are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Scheme, host and port.
    pub server: OriginAddress,
    /// Path and query, in which a token may stand.
    pub target: Secret<String>,
}

impl Webhook {
    /// Where it is, for a person: without its path.
    pub fn shown(&self) -> String {
        let scheme = match self.server {
            OriginAddress::Https { .. } => "https",
            OriginAddress::Http { .. } | OriginAddress::Unix(_) => "http",
        };
        let host = self.server.host();
        format!("{scheme}://{}/***", host.to_str().unwrap_or("?"))
    }
}

/// Where a token is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// `header:authorization`
    Header(HeaderName),
    /// `cookie:accessToken`
    Cookie(String),
}

/// How a header carries the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// The whole value.
    Raw,
    /// After `Bearer `.
    Bearer,
    /// Either of them.
    Either,
}

/// The algorithms a token may be signed with, by their names in RFC 7518 §3.1 and RFC 8037 §3.1;
/// pinned by configuration, never taken from the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `HS256`
    Hs256,
    /// `HS384`
    Hs384,
    /// `HS512`
    Hs512,
    /// `RS256`
    Rs256,
    /// `RS384`
    Rs384,
    /// `RS512`
    Rs512,
    /// `PS256`
    Ps256,
    /// `PS384`
    Ps384,
    /// `PS512`
    Ps512,
    /// `ES256`
    Es256,
    /// `ES384`
    Es384,
    /// `EdDSA`
    EdDsa,
}

/// What a signature is checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerifyKey {
    /// `secret`
    Secret(Secret<String>),
    /// The text of the PEM file named by `public_key`, read when the file was checked.
    Pem(String),
    /// `jwks`
    Jwks(KeySource),
}

/// Where an issuer publishes his keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeySource {
    /// A file that somebody else keeps up to date.
    File(PathBuf),
    /// A URL.
    Url {
        /// Scheme, host and port.
        server: OriginAddress,
        /// Path and query.
        target: String,
    },
}

/// `verify = { … }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifySettings {
    /// The only algorithm accepted.
    pub algorithm: Algorithm,
    /// Checked to fit the algorithm.
    pub key: VerifyKey,
    /// One of them must be a token's `aud`, or stand in it. None: not asked.
    pub audience: Vec<String>,
    /// One of them must be a token's `iss`. None: not asked.
    pub issuer: Vec<String>,
}

/// `[identity]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentitySettings {
    /// First that is present and not empty.
    pub token: Vec<TokenSource>,
    /// Default `Raw`.
    pub scheme: Scheme,
    /// How tokens are verified. Without it claims do not exist.
    pub verify: Option<VerifySettings>,
    /// The claim that `roles` compares. Default `role`.
    pub role: String,
    /// Allowed clock difference for `exp` and `nbf`. Default zero.
    pub leeway: Duration,
}
