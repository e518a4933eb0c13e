use super::world::{Cache, Lines, numbered, owned, reused_or_not, row};

/// Asks twice, with these headers each; whether the second was served what the first got.
async fn shares(vary: &str, first: Lines<'_>, second: Lines<'_>) -> bool {
    let cache = Cache::of(&[("cache-control", "max-age=3600"), ("vary", vary)]).await;
    assert_eq!(cache.get_with("/a", first).await.text(), "1");
    cache.get_with("/a", second).await.text() == "1"
}

#[tokio::test]
async fn a_variant_is_for_requests_that_say_the_same() {
    let one: Lines = &[("foo", "1")];
    for (vary, second, expected) in [
        ("Foo", one, true),
        ("Foo", &[("foo", "2")] as Lines, false),
        ("Foo", &[], false),
        ("foo", one, true),
        ("Foo, Bar", one, true),
        ("Foo, Bar", &[("foo", "1"), ("bar", "x")], false),
        ("Other", &[("foo", "2")], true),
    ] {
        assert_eq!(
            shares(vary, one, second).await,
            expected,
            "{vary} {second:?}"
        );
    }
    assert!(shares("Foo", &[], &[]).await);
    assert!(!shares("Foo", &[], one).await);
}

#[tokio::test]
async fn lines_that_are_combined_and_white_space_make_no_difference() {
    let two: Lines = &[("foo", "1"), ("foo", "2")];
    for same in [
        &[("foo", "1, 2")] as Lines,
        &[("foo", "1,2")],
        &[("foo", "1 , 2")],
        two,
    ] {
        assert!(shares("Foo", two, same).await, "{same:?}");
    }
    assert!(!shares("Foo", two, &[("foo", "2, 1")]).await);
    assert!(
        shares(
            "Accept-Encoding",
            &[("accept-encoding", "gzip, br")],
            &[("accept-encoding", "br,gzip")]
        )
        .await
    );
}

#[tokio::test]
async fn a_star_anywhere_is_never_reused() {
    let vary = |line: &str| {
        row(
            200,
            &[("cache-control", "max-age=3600"), ("vary", line)],
            false,
        )
    };
    reused_or_not(vec![
        vary("*"),
        vary("*, Foo"),
        vary("Foo, *"),
        vary("Foo,*,Bar"),
    ])
    .await;
}

#[tokio::test]
async fn each_path_has_a_vary_of_its_own_and_keeps_all_its_variants() {
    let cache = Cache::before(|asked, nth| {
        let name = format!("x-{}", asked.target.trim_start_matches('/'));
        let headers = owned(&[("cache-control", "max-age=3600"), ("vary", &name)]);
        numbered(200, nth, &headers)
    })
    .await;
    for at in 0..20 {
        let (path, name) = (format!("/{at}"), format!("x-{at}"));
        for (value, outcome) in [("a", "miss"), ("b", "miss"), ("a", "hit"), ("b", "hit")] {
            let got = cache
                .get_with(&path, &[(&name, value), ("x-else", outcome)])
                .await;
            assert_eq!(
                got.outcome(),
                outcome,
                "{path} {value}: {}",
                got.cache_status()
            );
        }
    }
}

#[tokio::test]
async fn more_names_than_are_learnt_are_a_star_for_that_path_alone() {
    let cache = Cache::before(|asked, nth| {
        let many: Vec<String> = (0..20).map(|n| format!("x-{n}")).collect();
        let vary = match &*asked.target {
            "/many" => many.join(", "),
            _ => "x-1".to_owned(),
        };
        numbered(
            200,
            nth,
            &owned(&[("cache-control", "max-age=3600"), ("vary", &vary)]),
        )
    })
    .await;
    assert_eq!(cache.get("/many").await.detail(), Some("vary-star"));
    assert_eq!(cache.get("/many").await.text(), "2");
    cache.get("/few").await;
    assert_eq!(cache.get("/few").await.outcome(), "hit");
}
