//! What a hit costs, counted in allocations on the thread that answers it, which no other test's are. How long
//! each piece takes is for `benches/hot_path.rs`.

use crate::world::{Origin, Reply, Sidecar};
use allocation_counter::measure;
use hyper::{Request, Response};
use sidecache::body::Body;
use sidecache::client::Client;
use sidecache::proxy;
use tokio::runtime::{Builder, Runtime};

const SECRET: &[u8] = b"a secret of more than sixteen characters";

/// Two answers that are kept: one for everybody, one for each caller.
const RULES: &str = r#"
[identity]
token = "header:authorization"
scheme = "bearer"
verify = { algorithm = "HS256", secret = "a secret of more than sixteen characters" }

[[cache]]
name = "doctor"
match = "GET /api/doctor/{doctorId}"
key = "doctors:details:{doctorId}:{query}"
query = ["page", "sort"]
ttl = "1h"
public = true

[[cache]]
name = "mine"
match = "GET /api/mine"
key = "mine:{claims.sub}"
query = []
ttl = "1h"
"#;

/// How many hits are counted together, so that what is done once in a while shows as no more than it is.
const HITS: u64 = 100;

struct World {
    runtime: Runtime,
    sidecar: Sidecar,
    token: String,
    _origin: Origin,
}

impl World {
    /// A runtime of one thread, so that whatever a hit leaves for later is counted too.
    fn new() -> World {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (origin, sidecar) = runtime.block_on(async {
            let origin = Origin::start(|_| async {
                let reply = Reply::json(include_str!("../../benches/answer.json"));
                reply.header("etag", "\"5b0e6a52\"")
            })
            .await;
            let sidecar = Sidecar::start(&origin, "memory:", RULES).await;
            (origin, sidecar)
        });
        let claims = serde_json::json!({ "sub": "7f3c", "role": "PATIENT", "exp": u32::MAX });
        let (head, key) = (Default::default(), SECRET);
        let key = jsonwebtoken::EncodingKey::from_secret(key);
        World {
            runtime,
            sidecar,
            token: jsonwebtoken::encode(&head, &claims, &key).expect("a token"),
            _origin: origin,
        }
    }

    fn request(&self, target: &str) -> Request<Body> {
        Request::get(target)
            .header("host", "api.test")
            .header("accept", "application/json")
            .header("accept-encoding", "gzip, br")
            .header("authorization", format!("Bearer {}", self.token))
            .body(Body::empty())
            .expect("a request")
    }

    fn answer(&self, request: Request<Body>) -> Response<Body> {
        let answer = proxy::answer(self.sidecar.server.live(), Client::at(None), request);
        self.runtime.block_on(answer)
    }

    fn is_hit(&self, target: &str) -> bool {
        let answer = self.answer(self.request(target));
        let status = &answer.headers()["cache-status"];
        status.to_str().expect("text").contains("; hit")
    }

    /// What so many hits allocate, from the requests' parts to the answers', both dropped.
    fn hits(&self, target: &str) -> u64 {
        while !self.is_hit(target) {
            self.runtime.block_on(tokio::task::yield_now()); // it is kept a moment after it was sent
        }
        (0..HITS).for_each(|_| assert!(self.is_hit(target)));
        let requests: Vec<_> = (0..HITS).map(|_| self.request(target)).collect();
        let answered = measure(|| {
            for request in requests {
                drop(self.answer(request));
            }
        });
        answered.count_total
    }
}

/// What is left for an answer that is everybody's: the request's head, shared with what may outlive it; `Host`,
/// whose bytes are shared from then on; the kept headers' two tables, copied, and the one that grows for what is
/// added; `Age` (two, as it is a number) and `Cache-Status`. For one that is its caller's: his token and his claim
/// are read, and the key is rendered, anew each time.
#[test]
fn a_hit_from_memory_costs_few_allocations() {
    let world = World::new();
    for (target, most) in [("/api/doctor/42?page=2", 8), ("/api/mine", 28)] {
        let allocated = world.hits(target);
        let all = most * HITS;
        assert!(allocated <= all, "{target}: {allocated} for {HITS} hits");
    }
}
