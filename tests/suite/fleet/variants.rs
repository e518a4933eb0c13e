//! Answers that turn out to vary while others wait for them.

use super::*;

const ENGLISH: &[(&str, &str)] = &[("accept-language", "en")];
const GERMAN: &[(&str, &str)] = &[("accept-language", "de")];

/// Two languages, one number each.
async fn languages() -> Slow {
    Slow::answering(|asked| {
        let n = i32::from(asked.header("accept-language") == Some("de"));
        Reply::json(format!("{{\"n\": {n}}}")).header("vary", "accept-language")
    })
    .await
}

#[tokio::test]
async fn who_waited_for_another_variant_fetches_his_own() {
    let (slow, redis) = (languages().await, RedisServer::start());
    let [one, other] = fleet(&slow, &redis).await;
    let english = read_with(&one, "/thing/a", ENGLISH);
    slow.was_asked(1).await;
    let [german] = waiting(&redis, || [read_with(&other, "/thing/a", GERMAN)]).await;
    slow.open();
    assert_eq!((got(english).await.n(), got(german).await.n()), (0, 1));
    for sidecar in [&one, &other] {
        for (headers, n) in [(ENGLISH, 0), (GERMAN, 1)] {
            let got = sidecar.get_with("/thing/a", headers).await;
            assert_eq!((got.outcome(), got.n()), ("hit", n));
        }
    }
}

#[tokio::test]
async fn who_waited_for_this_variant_shares_it_though_it_is_kept_elsewhere() {
    let (slow, redis) = (languages().await, RedisServer::start());
    let [one, other] = fleet(&slow, &redis).await;
    let first = read_with(&one, "/thing/a", ENGLISH);
    slow.was_asked(1).await;
    let readers = waiting(&redis, || {
        std::array::from_fn::<_, 5, _>(|_| read_with(&other, "/thing/a", ENGLISH))
    })
    .await;
    slow.open();
    let asked_in_english = got(first).await;
    for reader in readers {
        assert_eq!(got(reader).await.body, asked_in_english.body);
    }
    // The header was withheld from the first question, which taught that answers vary by it.
    assert_eq!(slow.origin.count(), 2);
}
