use super::connected;
use crate::redis::RedisServer;
use bytes::Bytes;
use sidecache::store::Field;

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
    let read = store.fields(NAME, &names[7]).await.expect("up");
    assert!(read.is_whole);
    let found: Vec<&str> = read.all.iter().map(|field| field.name.as_str()).collect();
    let all = names.iter().map(String::as_str).chain(["too-long"]);
    assert_eq!(found, all.collect::<Vec<_>>());
    for (at, field) in read.all.iter().enumerate() {
        let is_read = at != 7 && field.name != "too-long";
        let value = is_read.then(|| Bytes::from(field.name.repeat(6000)));
        assert_eq!(field.value, value, "{}", field.name);
    }
    // Two of 24 KB have room in a reply.
    assert!(
        (9..=12).contains(&redis.calls("hgetall")),
        "{}",
        redis.calls("hgetall")
    );
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
    let read: Vec<Field> = store.fields(NAME, "").await.expect("up").all;
    put("b", "3").await;
    let fold = || store.fold_fields(NAME, "past", Bytes::from_static(b"sum"), &read);
    assert!(fold().await.is_ok());
    assert_eq!(redis.ask(&[b"HGET", NAME.as_bytes(), b"past"]), "(nil)");
    put("b", "2").await;
    assert!(fold().await.is_ok());
    assert_eq!(redis.ask(&[b"HGETALL", NAME.as_bytes()]), "past\nsum");
}
