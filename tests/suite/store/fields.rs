use super::connected;
use crate::redis::RedisServer;
use bytes::Bytes;
use sidecache::store::{Field, any_first, latest_first};

const NAME: &str = "clinic:!stats";

#[tokio::test]
async fn many_long_fields_are_read_in_replies_that_hold_nobody_up() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    let names: Vec<String> = (0..20).map(|number| format!("1-{number:02}")).collect();
    for name in &names {
        let value = Bytes::from(name.repeat(6000));
        assert_eq!(store.put_field(NAME, name, value.clone()).await, Ok(true));
        assert_eq!(
            store.put_field(NAME, name, value).await,
            Ok(false),
            "it was there"
        );
    }
    redis.ask(&[b"HSET", NAME.as_bytes(), b"too-long", &[b'x'; 1 << 20]]);
    redis.ask(&[b"HSET", NAME.as_bytes(), b"\xff\xfe", b"no name of ours"]);
    let mut wanted = store.field_names(NAME).await.expect("up");
    wanted.sort();
    let all = names.iter().map(String::as_str).chain(["too-long"]);
    assert_eq!(wanted, all.collect::<Vec<_>>());
    wanted.insert(7, "1-no-more".to_owned());
    let read = store
        .fields(NAME, wanted.clone(), 1 << 20)
        .await
        .expect("up");
    assert!(read.is_whole());
    wanted.remove(7);
    let found: Vec<&String> = read.all.iter().map(|field| &field.name).collect();
    assert_eq!(
        found,
        wanted.iter().collect::<Vec<_>>(),
        "as they were asked for"
    );
    for field in &read.all {
        let is_read = field.name != "too-long";
        let value = is_read.then(|| Bytes::from(field.name.repeat(6000)));
        assert_eq!(field.value, value, "{}", field.name);
    }
    // Two of 24 KB have room in a reply.
    let replies = redis.calls("hmget");
    assert!((10..=13).contains(&replies), "{replies}");
    let some = store
        .fields(NAME, wanted.clone(), 200_000)
        .await
        .expect("up");
    assert!(!some.is_whole() && (8..=11).contains(&some.all.len()));
    let left = wanted.split_off(some.all.len());
    assert_eq!(some.left, left, "the others, in their order");
    let nothing = store.fields(NAME, Vec::new(), 1 << 20).await.expect("up");
    assert!(nothing.is_whole() && nothing.all.is_empty());
}

#[tokio::test]
async fn many_short_fields_are_read_in_few_replies() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    for number in 0..1_000 {
        let name = format!("{number}-a");
        redis.ask(&[b"HSET", NAME.as_bytes(), name.as_bytes(), &[b'x'; 100]]);
    }
    let mut names = store.field_names(NAME).await.expect("up");
    latest_first(&mut names);
    assert_eq!(names[0], "999-a");
    let read = store.fields(NAME, names, 1 << 20).await.expect("up");
    assert!(read.is_whole() && read.all.len() == 1_000);
    assert!(redis.calls("hmget") <= 10, "{}", redis.calls("hmget"));
}

#[tokio::test]
async fn fields_are_folded_in_one_step_and_not_if_one_was_written_meanwhile() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    let put = async |name: &str, value: &'static str| {
        let put = store.put_field(NAME, name, Bytes::from_static(value.as_bytes()));
        assert!(put.await.is_ok());
    };
    put("a", "1").await;
    put("b", "2").await;
    let names = vec!["a".to_owned(), "b".to_owned()];
    let read: Vec<Field> = store.fields(NAME, names, 1000).await.expect("up").all;
    put("b", "3").await;
    let fold = || store.fold_fields(NAME, "past", Bytes::from_static(b"sum"), &read);
    assert!(fold().await.is_ok());
    assert_eq!(redis.ask(&[b"HGET", NAME.as_bytes(), b"past"]), "(nil)");
    put("b", "2").await;
    assert!(fold().await.is_ok());
    assert_eq!(redis.ask(&[b"HGETALL", NAME.as_bytes()]), "past\nsum");
}

#[tokio::test]
async fn of_more_fields_than_a_script_can_take_apart_some_are_folded_each_time() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    let many = (0..20_000).map(|number| format!("{number}-a"));
    let pairs: Vec<String> = many.flat_map(|name| [name, "1".to_owned()]).collect();
    let words = [&b"HSET"[..], NAME.as_bytes()].into_iter();
    let words: Vec<&[u8]> = words.chain(pairs.iter().map(String::as_bytes)).collect();
    redis.ask(&words);
    for left in [19_001, 18_002] {
        let mut names = store.field_names(NAME).await.expect("up");
        any_first(&mut names);
        let read = store.fields(NAME, names, 1 << 20).await.expect("up").all;
        let folded = store.fold_fields(NAME, "past", Bytes::from_static(b"sum"), &read);
        assert!(folded.await.is_ok());
        let there = redis.ask(&[b"HLEN", NAME.as_bytes()]);
        assert_eq!(there, left.to_string());
    }
}
