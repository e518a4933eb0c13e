//! Poisoning and deception: each request that would have an answer kept that is not the next person's.
//! It is sent first, before anything is kept, and again after; each time an innocent person must get what
//! the clinic gives him. The clinic is told to let everything that it sees shape its answers.

use super::world::{Call, Clinic, Program};
use crate::raw::talk;
use crate::redis::RedisServer;
use crate::world::Got;

/// Of what a client sends, what the clinic lets shape `x-shaped-by`; see `tests/clinic/mirror.js`.
const SHAPED: &str = "x-shaped-by";

struct World {
    clinic: Clinic,
    program: Program,
    _redis: RedisServer,
}

/// What an answer says: to whom, shaped by what.
fn said(got: &Got) -> (u16, String, Vec<Option<String>>) {
    let names = [
        SHAPED,
        "content-type",
        "content-range",
        "access-control-allow-origin",
        "allow",
    ];
    let fields = names.map(|name| got.header(name).map(str::to_owned));
    (got.status, got.text(), fields.into())
}

impl World {
    async fn start() -> World {
        let clinic = Clinic::start_with(&[("MIRROR", "1")]).await;
        let redis = RedisServer::start();
        World {
            program: Program::start(&clinic, &redis).await,
            clinic,
            _redis: redis,
        }
    }

    /// An innocent person asks twice, for a fill and for a hit.
    async fn assert_innocent(&self, innocent: &Call, attack: &str) {
        let direct = said(&self.clinic.answers(innocent).await);
        for _ in 0..2 {
            let got = self.program.answers(innocent).await;
            let place = format!("{} after {attack}: {}", innocent.path, got.cache_status());
            assert_eq!(said(&got), direct, "{place}");
        }
    }

    /// Cold and warm; returns what the attacker himself got, cold and warm.
    async fn attack(&self, attack: &Call, innocent: &Call) -> [Got; 2] {
        let name = format!("{} {} {:?}", attack.method, attack.path, attack.headers);
        self.program.purge(&["*"]).await;
        let cold = self.program.answers(attack).await;
        self.assert_innocent(innocent, &name).await;
        let warm = self.program.answers(attack).await;
        self.assert_innocent(innocent, &name).await;
        [cold, warm]
    }

    /// The same, and the attacker gets what the clinic would give him, but for what was withheld of him.
    async fn attack_openly(&self, attack: &Call, innocent: &Call) {
        let seen = |got: &Got| {
            let mut got = got.clone();
            got.headers.remove(SHAPED);
            said(&got)
        };
        let direct = seen(&self.clinic.answers(attack).await);
        for got in self.attack(attack, innocent).await {
            let headers = &attack.headers;
            let place = format!("{} {headers:?}: {}", attack.path, got.cache_status());
            assert_eq!(seen(&got), direct, "{place}");
        }
    }
}

fn list() -> Call {
    Call::get("/api/v1/specialties?limit=2&sortBy=createdAt&sortOrder=asc")
}

/// Each as it stands, on an open list and on a patient's own.
fn shaping_headers() -> Vec<(&'static str, &'static str)> {
    vec![
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-scheme", "nothttps"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-prefix", "/evil"),
        ("x-forwarded-port", "4444"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-server", "evil.example"),
        ("x-host", "evil.example"),
        ("x-real-ip", "6.6.6.6"),
        ("forwarded", "host=evil.example;proto=https;for=6.6.6.6"),
        ("x-original-url", "/api/v1/doctor"),
        ("x-rewrite-url", "/api/v1/doctor"),
        ("x-original-host", "evil.example"),
        ("x-http-method-override", "DELETE"),
        ("x-http-method", "PUT"),
        ("x-method-override", "POST"),
        ("accept", "text/html"),
        ("accept-language", "bn"),
        ("accept-charset", "utf-16"),
        ("user-agent", "<script>alert(1)</script>"),
        ("referer", "https://evil.example/"),
        ("origin", "https://evil.example"),
        ("origin", "http://localhost:3001"),
        ("cookie", "lang=evil; theme=\"><script>"),
        ("cookie", "accessToken=junk"),
        ("authorization", "junk"),
        ("content-type", "application/json"),
        ("if-none-match", "*"),
        ("if-match", "\"no such\""),
        ("if-modified-since", "Sat, 01 Jan 2050 00:00:00 GMT"),
        ("if-unmodified-since", "Sat, 01 Jan 2000 00:00:00 GMT"),
        ("if-range", "\"no such\""),
        ("range", "bytes=0-3"),
        ("range", "bytes=-1"),
        ("range", "bytes=0-0,5-6"),
        ("range", "bytes=999999-"),
        ("cache-control", "no-store, max-age=0"),
        ("pragma", "no-cache"),
        ("te", "trailers"),
        ("via", "1.1 evil"),
        ("max-forwards", "0"),
        ("x-evil", "yes"),
        ("trailer", "x-evil"),
        ("upgrade", "h2c"),
        ("connection", "authorization, x-evil"),
    ]
}

#[tokio::test]
async fn no_header_of_one_client_shapes_what_another_is_served() {
    let world = World::start().await;
    let mine = Call::get("/api/v1/user/me").by(world.clinic.text("/patient/token"));
    for (name, value) in shaping_headers() {
        for innocent in [&list(), &mine] {
            let own_credential = ["cookie", "authorization"].contains(&name);
            if own_credential && innocent.path == mine.path {
                continue; // whose answer that is, is what `identities` is about
            }
            world
                .attack(&innocent.clone().header(name, value), innocent)
                .await;
        }
    }
    let huge = list().header("x-evil", &"x".repeat(40_000));
    let [withheld, _] = world.attack(&huge, &list()).await;
    assert_eq!(
        withheld.status, 200,
        "too much for the clinic, which never saw it"
    );
}

#[tokio::test]
async fn a_method_is_answered_as_itself_and_a_body_on_a_get_shapes_nothing() {
    let world = World::start().await;
    for method in [
        "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "get", "PURGE",
    ] {
        let mut attack = list();
        attack.method = method;
        world.attack(&attack, &list()).await;
    }
    let mut head = list();
    head.method = "HEAD";
    let [cold, warm] = world.attack(&head, &list()).await;
    assert!(cold.body.is_empty() && warm.body.is_empty());
    for body in [r#"{"limit":1}"#, "limit=1", "\0"] {
        let mut fat = list().header("content-type", "application/json");
        fat.body = body.to_owned();
        world.attack(&fat, &list()).await;
    }
    let preflight = |origin: &str| {
        let mut call = list().header("origin", origin);
        call.method = "OPTIONS";
        call.header("access-control-request-method", "DELETE")
    };
    for origin in [
        "http://localhost:3000",
        "http://localhost:3001",
        "https://evil.example",
    ] {
        world.attack_openly(&preflight(origin), &list()).await;
        let shown = list().header("origin", origin);
        world
            .attack_openly(&shown, &list().header("origin", "http://localhost:3000"))
            .await;
    }
}

#[tokio::test]
async fn a_query_is_read_as_express_reads_it_or_passes() {
    let world = World::start().await;
    let queries = [
        "?utm_source=evil&limit=2&sortBy=createdAt&sortOrder=asc",
        "?limit=2;limit=1&sortBy=createdAt&sortOrder=asc",
        "?limit=2&sortBy=createdAt&sortOrder=asc;x=1",
        "?limit=2&limit=1&sortBy=createdAt&sortOrder=asc",
        "?limit[]=2&sortBy=createdAt&sortOrder=asc",
        "?limit[0]=2&sortBy=createdAt&sortOrder=asc",
        "?limit[a]=2&sortBy=createdAt&sortOrder=asc",
        "?limit%5B%5D=1&sortBy=createdAt&sortOrder=asc",
        "?limi%74=2&sortBy=createdAt&sortOrder=asc",
        "?%6Cimit=1&sortBy=createdAt&sortOrder=asc",
        "?LIMIT=1&limit=2&sortBy=createdAt&sortOrder=asc",
        "?limit=2&sortBy=createdAt&sortOrder=asc?limit=1",
        "?limit=2&sortBy=createdAt&sortOrder=asc&__proto__[limit]=1",
        "?limit=2&sortBy=createdAt&sortOrder=asc&limit",
        "?limit=%32&sortBy=created%41t&sortOrder=asc",
        "?limit=+2&sortBy=createdAt&sortOrder=asc",
        "?limit=2%00&sortBy=createdAt&sortOrder=asc",
        "?limit=2&sortBy=createdAt&sortOrder=asc&page=%c0%af",
        "?limit=2&sortBy=createdAt&sortOrder=asc&page=%u0031",
        "?limit=2&sortBy=createdAt&sortOrder=asc&page=%zz",
        "?limit=2&sortBy=name:*&sortOrder=asc",
        "?limit=2&sortBy=*&sortOrder=%0a",
        "?&&limit=2&&sortBy=createdAt&sortOrder=asc&",
        "?sortOrder=asc&sortBy=createdAt&limit=2",
        "??limit=2&sortBy=createdAt&sortOrder=asc",
    ];
    for query in queries {
        let attack = Call::get(&format!("/api/v1/specialties{query}"));
        world.attack(&attack, &list()).await;
        let nameless = Call::get("/api/v1/specialties");
        world.attack(&attack, &nameless).await;
    }
    let long = format!("/api/v1/specialties?limit=2&page={}", "1".repeat(9000));
    world.attack_openly(&Call::get(&long), &list()).await;
    let many: String = (0..1500).map(|n| format!("&a{n}=1")).collect();
    let many = Call::get(&format!("{}{many}", list().path));
    world.attack(&many, &list()).await;
}

/// Spellings by which a cache could take one route for another.
fn spellings(of: &str) -> Vec<String> {
    let (before, last) = of.rsplit_once('/').expect("a path");
    let encoded = format!("%{:02x}{}", last.as_bytes()[0], &last[1..]);
    let ends = [
        "/",
        "//",
        "/.",
        "/..",
        ".",
        "..",
        "%2f",
        "%2F",
        "%5c",
        "\\",
        "%00",
        "%20",
        "%0a",
        ";",
        ";a=b",
        ";jsessionid=1",
        "/x.css",
        "/avatar.png",
        ".json",
        "%3f",
        "%23",
        "/..;/",
        "%c0%af",
        "%e0%80%af",
        "%u002f",
        "%",
        "%2",
        "~",
        "+",
        "*",
        "/*",
        ":",
        "%2e%2e",
        "/%2e%2e/doctor",
        "%2f..%2fdoctor",
        "/../doctor",
        "/..%2fspecialties",
        "%ff",
    ];
    let mut all: Vec<String> = ends.iter().map(|end| format!("{of}{end}")).collect();
    all.extend([
        format!("/{of}"),
        format!("/.{of}"),
        format!("{before}//{last}"),
        format!("{before}/./{last}"),
        format!("{before}/../v1/{last}"),
        format!("{before}/{encoded}"),
        format!("{before}%2f{last}"),
        format!("{before};x/{last}"),
        of.to_uppercase(),
        format!("{}/", of.to_uppercase()),
        of.replace("api", "ap\u{131}"),
        of.replace('e', "\u{435}"),
    ]);
    all
}

/// The clinic's own answer to a spelling is what everybody gets for it, and nobody for another.
#[tokio::test]
async fn a_path_is_the_route_that_express_takes_it_for_or_none() {
    let world = World::start().await;
    let (patient, other) = (
        world.clinic.text("/patient/token"),
        world.clinic.text("/otherPatient/token"),
    );
    for (path, victim, stranger) in [
        ("/api/v1/user/me", Some(patient), Some(other)),
        ("/api/v1/specialties", None, None),
    ] {
        let by = |path: &str, token: Option<&str>| {
            let call = Call::get(path);
            token.iter().fold(call, |call, token| call.cookie(token))
        };
        for spelling in spellings(path).iter().filter(|path| path.is_ascii()) {
            if spelling.parse::<hyper::Uri>().is_err() {
                continue; // `raw` sends what no client library would
            }
            if stranger.is_some() {
                let deceived = by(spelling, victim);
                world.attack_openly(&deceived, &by(path, stranger)).await;
            }
            world
                .attack_openly(&by(spelling, stranger), &by(path, victim))
                .await;
        }
    }
}

/// Bytes that no client library would send, and a Host that is not the innocent's.
#[tokio::test]
async fn raw_targets_and_other_hosts_leave_nothing_behind() {
    let world = World::start().await;
    let path = list().path;
    let hosts = [
        "evil.example",
        "api.test:1234",
        "API.TEST",
        "api.test.",
        "localhost",
        "[::1]:80",
    ];
    for host in hosts {
        world
            .attack_openly(&list().header("host", host), &list())
            .await;
    }
    let targets: Vec<Vec<u8>> = spellings("/api/v1/specialties")
        .into_iter()
        .map(String::into_bytes)
        .chain([
            b"/api/v1/specialties\xc0\xaf".to_vec(),
            b"/api/v1/specialties#x".to_vec(),
            format!("http://evil.example{path}").into_bytes(),
            format!("http://api.test:1{path}").into_bytes(),
            b"*".to_vec(),
            b"api/v1/specialties".to_vec(),
        ])
        .collect();
    for target in targets {
        world.program.purge(&["*"]).await;
        for _ in 0..2 {
            let head = b" HTTP/1.1\r\nhost: api.test\r\nconnection: close\r\n\r\n";
            let request = [b"GET ", target.as_slice(), head].concat();
            let heard = talk(world.program.address, &request).await;
            assert!(heard.starts_with("HTTP/1.1 "), "{heard}");
            let shown = String::from_utf8_lossy(&target).into_owned();
            world
                .assert_innocent(&Call::get("/api/v1/specialties"), &shown)
                .await;
        }
    }
}

/// One answer for each, and none of them another's, however many there are.
#[tokio::test]
async fn a_flood_of_variants_leaves_each_its_own() {
    let world = World::start().await;
    world.program.until_hit(&list()).await;
    let direct = said(&world.clinic.answers(&list()).await);
    for n in 0..60 {
        let origin = format!("http://localhost:{}", 2990 + n);
        let call = list()
            .header("origin", &origin)
            .header("accept-encoding", &format!("x{n}"));
        let own = world
            .clinic
            .answers(&list().header("origin", &origin))
            .await;
        let got = world.program.answers(&call).await;
        let allowed = |got: &Got| got.header("access-control-allow-origin").map(str::to_owned);
        assert_eq!(
            (got.text(), allowed(&got)),
            (own.text(), allowed(&own)),
            "{origin}"
        );
    }
    assert_eq!(said(&world.program.answers(&list()).await), direct);
}

/// Values that could end a segment, be a pattern, or look like what Redis holds.
#[tokio::test]
async fn a_value_in_a_key_is_nothing_but_that_value() {
    let world = World::start().await;
    let id = world.clinic.text("/doctor/id").to_owned();
    let values = [
        "*",
        "%2a",
        ":",
        "%3a",
        "a%3ab",
        "%25",
        "%2525",
        "%0a",
        "%00",
        "%f0%9f%92%8a",
        "%ff",
        "!",
        "%21",
        "%23",
        "%23vary",
        "!vary",
        "list",
        "details",
        "%-",
        "%25-",
        "null",
        "undefined",
        "[object%20Object]",
        "{doctorId}",
        "%7bdoctorId%7d",
        "suggestion",
        "soft",
        "00000000000000000000000000000000",
    ]
    .map(str::to_owned);
    let long = [
        "x".repeat(128),
        "x".repeat(129),
        "x".repeat(9000),
        "%61".repeat(200),
    ];
    let doctor = Call::get(&format!("/api/v1/doctor/{id}"));
    let first = format!("%{:02x}{}", id.as_bytes()[0], &id[1..]);
    for value in values
        .iter()
        .chain(&long)
        .chain([&first, &id.to_uppercase(), &format!("{id}%20")])
    {
        let attack = Call::get(&format!("/api/v1/doctor/{value}"));
        world.attack_openly(&attack, &doctor).await;
        let search = "/api/v1/doctor?sortBy=createdAt&sortOrder=asc&limit=1&searchTerm=";
        let attack = Call::get(&format!("{search}{value}"));
        world.attack_openly(&attack, &Call::get(search)).await;
    }
}
