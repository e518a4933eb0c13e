//! Two releases on one Redis: what the one writes is nothing to the other.

use super::*;

/// The format of an entry stands first in it.
fn of_another_release(redis: &RedisServer, id: u8) {
    let entry = format!("test:things:details:{id}");
    redis.ask(&[b"SETRANGE", entry.as_bytes(), b"0", &[id]]);
}

/// The formats of before and to come that are tried, each on a thing of that number.
const FORMATS: [u8; 3] = [0, 9, 255];

#[tokio::test]
async fn releases_with_other_formats_serve_nothing_of_each_others_and_lose_no_write() {
    let (redis, origin) = (RedisServer::start(), Origin::register().await);
    let rules = |compress: &str| {
        let store = format!("[store]\ntimeout = \"20s\"\ncompress = \"{compress}\"");
        let head = head(origin.address, &redis.url()).replace("[store]", &store);
        format!("{head}{REGISTER_RULES}")
    };
    let (old, new) = (
        Sidecar::with_file(&rules("lz4")).await,
        Sidecar::with_file(&rules("zstd")).await,
    );
    cached(&old, "/api/thing/1").await;
    let other = new.get("/api/thing/1").await;
    assert_eq!(other.outcome(), "hit", "how a body is packed is no format");
    for (n, id) in (0..).zip(FORMATS) {
        let thing = format!("/api/thing/{id}");
        assert_eq!(cached(&old, &thing).await, n);
        of_another_release(&redis, id);
        let read = new.get(&thing).await;
        assert_eq!((read.outcome(), read.n()), ("miss", n), "format {id}");
        assert_eq!(cached(&new, &thing).await, n, "it is kept anew");
        of_another_release(&redis, id);
        let (through, change) = (
            if id == 9 { &old } else { &new },
            format!("/api/change/{id}"),
        );
        assert_eq!(through.ask("PATCH", &change, &[], "").await.n(), n + 1);
        for sidecar in [&old, &new] {
            assert_eq!(sidecar.get(&thing).await.n(), n + 1, "format {id}");
        }
    }
}
