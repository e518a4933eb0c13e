//! What a hit is made of, piece by piece and as a whole: time and allocations.
//!
//! `cargo bench --bench hot_path` prints first what `[store] compress` makes of entries, in bytes. Counts of allocations are exact on any machine; times are for
//! comparing one run with the next on the same one.

use bytes::Bytes;
use divan::{AllocProfiler, Bencher, Divan, black_box};
use hyper::{Method, Request, header};
use mimalloc::MiMalloc;
use sidecache::asked::Asked;
use sidecache::body::Body;
use sidecache::client::Client;
use sidecache::clock;
use sidecache::entry::{Entry, Version};
use sidecache::freshness;
use sidecache::head::Head;
use sidecache::headers::Seen;
use sidecache::live::Live;
use sidecache::look::{Found, look};
use sidecache::rules::settings::Compress;
use sidecache::server::Server;
use sidecache::{proxy, reply};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, LazyLock};
use std::thread;
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOCATOR: AllocProfiler<MiMalloc> = AllocProfiler::new(MiMalloc);

const SECRET: &[u8] = b"a secret of more than sixteen characters";

/// Of each piece, so that the fastest is one that nothing has interrupted.
const SAMPLES: u32 = 1000;

/// What the origin answers: 2 KB of JSON.
const ANSWER: &str = include_str!("answer.json");

/// The ways of `[store] compress`, and the bodies that they are judged by.
const COMPRESS: [Compress; 3] = [Compress::None, Compress::Lz4, Compress::Zstd];
const BODIES_KB: [usize; 4] = [1, 2, 20, 200];

/// Two kept answers, each asked for by one request.
const EVERYBODYS: &str = "/api/doctor/42?page=2";
const MINE: &str = "/api/mine";

const RULES: &str = r#"
[proxy]
listen = "127.0.0.1:0"
origin = "http://ORIGIN"

[identity]
token  = "header:authorization"
scheme = "bearer"
verify = { algorithm = "HS256", secret = "SECRET" }

[[cache]]
name   = "doctor"
match  = "GET /api/doctor/{doctorId}"
key    = "doctors:details:{doctorId}:{query}"
query  = ["page", "sort"]
ttl    = "1h"
public = true

[[cache]]
name  = "mine"
match = "GET /api/mine"
key   = "mine:{claims.sub}"
query = []
ttl   = "1h"

[[invalidate]]
name = "doctor-changed"
on   = ["PATCH /api/doctor/{doctorId}"]
drop = ["doctors:details:{doctorId}:*"]
"#;

fn main() {
    print_sizes();
    let divan = Divan::default().sample_count(SAMPLES);
    divan.config_with_args().main();
}

/// A sidecar that keeps both answers, and what looking for one of them found.
struct World {
    runtime: Runtime,
    live: Arc<Live>,
    token: String,
    _server: Server,
}

static WORLD: LazyLock<World> = LazyLock::new(World::new);

impl World {
    fn new() -> World {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let rules = tempfile::NamedTempFile::new().expect("a file");
        let secret = std::str::from_utf8(SECRET).expect("text");
        let text = RULES.replace("ORIGIN", &origin()).replace("SECRET", secret);
        std::fs::write(rules.path(), text).expect("a rules file");
        let server = runtime.block_on(Server::start(rules.path()));
        let server = server.expect("a sidecar");
        let world = World {
            runtime,
            live: server.live(),
            token: token(),
            _server: server,
        };
        for target in [EVERYBODYS, MINE] {
            world.fill(target);
        }
        world
    }

    /// Asks until the answer is a hit: it is kept a moment after it was sent.
    fn fill(&self, target: &str) {
        let is_hit = || {
            let answer = self.answer(self.request(target));
            let status = answer.headers().get("cache-status").expect("it is sent");
            status.to_str().expect("text").contains("; hit")
        };
        while !is_hit() {
            self.runtime.block_on(tokio::task::yield_now());
        }
    }

    fn request(&self, target: &str) -> Request<Body> {
        Request::get(target)
            .header(header::HOST, "api.example")
            .header(header::ACCEPT, "application/json")
            .header(header::ACCEPT_ENCODING, "gzip, br")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .body(Body::empty())
            .expect("a request")
    }

    fn head(&self, request: Request<Body>) -> Arc<Head> {
        let table = &self.live.table;
        let parts = request.into_parts().0;
        let (seen, identity) = (Seen::of(&parts.headers), table.identity.as_ref());
        Arc::new(Head::of(parts, seen, None, &table.proxy, identity))
    }

    fn answer(&self, request: Request<Body>) -> hyper::Response<Body> {
        let answer = proxy::answer(self.live.clone(), Client::at(None), request);
        self.runtime.block_on(answer)
    }

    fn asked(&self, head: &Arc<Head>) -> Asked {
        let matched = self.live.table.read(&Method::GET, head.parts.uri.path());
        let asked = Asked::of(&self.live, &matched.expect("a rule matches"), head, None);
        asked.unwrap_or_else(|detail| panic!("it may use its rule: {detail:?}"))
    }

    fn asked_for(&self, target: &str) -> Asked {
        self.asked(&self.head(self.request(target)))
    }

    fn look(&self, asked: &Asked) -> Found {
        self.runtime.block_on(look(&self.live, asked, None))
    }

    /// What is kept for everybody.
    fn entry(&self) -> Arc<Entry> {
        self.look(&self.asked_for(EVERYBODYS))
            .kept
            .expect("it is kept")
            .entry
    }

    /// The same with a body of so many KB.
    fn entry_of(&self, kb: usize) -> Entry {
        Entry {
            body: json(kb),
            ..Entry::clone(&self.entry())
        }
    }
}

/// Starts an origin that answers everything alike, and gives its address.
fn origin() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\netag: \"5b0e6a52\"\r\n\
         cache-control: public, max-age=3600\r\ncontent-length: {}\r\n\r\n{ANSWER}",
        ANSWER.len()
    );
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || {
                let requests = BufReader::new(stream.try_clone().expect("a handle")).lines();
                let ends = requests.map_while(Result::ok).filter(String::is_empty);
                ends.for_each(|_| stream.write_all(answer.as_bytes()).expect("a client"));
            });
        }
    });
    address
}

fn token() -> String {
    let claims = serde_json::json!({ "sub": "7f3c", "role": "PATIENT", "exp": u32::MAX });
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET);
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("a token")
}

/// A whole hit, from the request's parts to the answer's.
#[divan::bench(args = [EVERYBODYS, MINE])]
fn hit(bencher: Bencher, target: &str) {
    bencher
        .with_inputs(|| WORLD.request(target))
        .bench_values(|request| WORLD.answer(request));
}

/// Which rule is it?
#[divan::bench]
fn match_rule(bencher: Bencher) {
    let table = &WORLD.live.table;
    bencher.bench(|| {
        table
            .read(&Method::GET, black_box("/api/doctor/42"))
            .is_some()
    });
}

/// What is its client not to say?
#[divan::bench]
fn read_head(bencher: Bencher) {
    bencher
        .with_inputs(|| WORLD.request(MINE))
        .bench_values(|request| WORLD.head(request));
}

/// May it use its rule, and what is its key? With a token that was proved before, where it is keyed.
#[divan::bench(args = [EVERYBODYS, MINE])]
fn ask(bencher: Bencher, target: &str) {
    let head = WORLD.head(WORLD.request(target));
    bencher.bench(|| WORLD.asked(black_box(&head)));
}

/// A token that was proved before.
#[divan::bench]
fn verify_remembered(bencher: Bencher) {
    let verifier = WORLD.live.verifier.as_ref().expect("tokens are verified");
    let now = clock::now_ms() / 1000;
    bencher.bench(|| verifier.verify(black_box(&WORLD.token), now));
}

/// What does the store know, and may it be served?
#[divan::bench]
fn look_up(bencher: Bencher) {
    let asked = WORLD.asked_for(EVERYBODYS);
    bencher.bench(|| WORLD.look(black_box(&asked)));
}

/// May it be served?
#[divan::bench]
fn judge(bencher: Bencher) {
    let entry = WORLD.entry();
    let versions: Vec<Option<Version>> = entry.versions.iter().copied().map(Some).collect();
    let now = clock::now_ms();
    bencher
        .bench(|| freshness::judge_entry(&entry, black_box(&versions), None, &entry.binding, now));
}

/// The answer that a client gets of what is kept.
#[divan::bench]
fn reply_kept(bencher: Bencher) {
    let (entry, head) = (WORLD.entry(), WORLD.head(WORLD.request(EVERYBODYS)));
    bencher.bench(|| reply::kept(black_box(&entry), 7, &head));
}

/// To the bytes that stand in Redis, of a body of so many KB.
#[divan::bench(args = COMPRESS, consts = BODIES_KB)]
fn encode<const KB: usize>(bencher: Bencher, compress: Compress) {
    let entry = WORLD.entry_of(KB);
    bencher.bench(|| black_box(&entry).encode(compress));
}

/// And back.
#[divan::bench(args = COMPRESS, consts = BODIES_KB)]
fn decode<const KB: usize>(bencher: Bencher, compress: Compress) {
    let bytes = Bytes::from(WORLD.entry_of(KB).encode(compress));
    bencher.bench(|| Entry::decode(black_box(&bytes)));
}

/// What each way of `compress` makes of an entry, as Markdown.
fn print_sizes() {
    println!("| body, KB | entry in Redis, bytes: none | lz4 | zstd |");
    println!("| --: | --: | --: | --: |");
    for kb in BODIES_KB {
        let entry = WORLD.entry_of(kb);
        let [none, lz4, zstd] = COMPRESS.map(|compress| entry.encode(compress).len());
        println!("| {kb} | {none} | {lz4} | {zstd} |");
    }
}

/// So many KB of JSON like the clinic's: a list of doctors, in which names of members repeat, and identifiers,
/// people and figures do not.
fn json(kb: usize) -> Bytes {
    let mut dice = 42_u64;
    let mut roll = |sides: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (dice >> 33) % sides
    };
    let mut text = String::from(r#"{"success":true,"message":"Doctors retrieved","data":["#);
    while text.len() < kb << 10 {
        let [first, last] = [FIRST_NAMES, LAST_NAMES].map(|names| names[roll(8) as usize]);
        let (id, tail) = (roll(1 << 31), roll(1 << 31));
        text += &format!(
            r#"{{"id":"{id:08x}-{:04x}-4{:03x}-{tail:012x}","name":"{first} {last}","email":"{}.{}@clinic.example","#,
            roll(1 << 16),
            roll(1 << 12),
            first.to_lowercase(),
            last.to_lowercase(),
        );
        text += &format!(
            r#""gender":"{}","averageRating":{}.{},"appointmentFee":{}0,"specialties":["{}"]}},"#,
            ["FEMALE", "MALE"][roll(2) as usize],
            roll(5),
            roll(10),
            roll(20) + 5,
            SPECIALTIES[roll(8) as usize],
        );
    }
    text.truncate(kb << 10);
    Bytes::from(text)
}

const FIRST_NAMES: [&str; 8] = [
    "Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Niklaus", "Radia",
];
const LAST_NAMES: [&str; 8] = [
    "Byron", "Hopper", "Turing", "Dijkstra", "Liskov", "Knuth", "Wirth", "Perlman",
];
const SPECIALTIES: [&str; 8] = [
    "Neurology",
    "Cardiology",
    "Dermatology",
    "Oncology",
    "Pediatrics",
    "Psychiatry",
    "Radiology",
    "Urology",
];
