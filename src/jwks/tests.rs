//! Keys that come, change, go and cannot be read, over simulated time.

use super::*;
use crate::identity::{BadToken, Verifier};
use crate::rules::settings::{VerifyKey, VerifySettings};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;
use std::path::PathBuf;

const PRIVATE: &[u8] = include_bytes!("../../tests/keys/test-p256-private.pem");

fn key() -> EncodingKey {
    EncodingKey::from_ec_pem(PRIVATE).expect("a key")
}

/// A key set in which the one key goes by these names.
fn set(names: &[&str]) -> String {
    let keys = names.iter().map(|name| {
        let mut jwk =
            Jwk::from_encoding_key(&key(), jsonwebtoken::Algorithm::ES256).expect("public");
        jwk.common.key_id = Some((*name).to_owned());
        jwk
    });
    json!({"keys": keys.collect::<Vec<_>>()}).to_string()
}

fn token(kid: &str) -> String {
    let mut header = Header::new(jsonwebtoken::Algorithm::ES256);
    header.kid = Some(kid.to_owned());
    jsonwebtoken::encode(&header, &json!({"email": "ann@clinic.example"}), &key()).expect("signs")
}

struct World {
    file: PathBuf,
    issuers: Issuers,
    verifier: Verifier,
    _directory: tempfile::TempDir,
}

impl World {
    /// Keys in a file, and whoever checks tokens against them.
    fn with(keys: &str) -> World {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("keys.json");
        std::fs::write(&file, keys).expect("written");
        let issuers = Issuers::default();
        let source = KeySource::File(file.clone());
        let published = issuers.keys(&source, Algorithm::Es256).expect("readable");
        let settings = VerifySettings {
            algorithm: Algorithm::Es256,
            key: VerifyKey::Jwks(source),
            audience: Vec::new(),
            issuer: Vec::new(),
        };
        World {
            file,
            issuers,
            verifier: Verifier::new(&settings, Duration::ZERO, Some(published))
                .expect("a verifier"),
            _directory: directory,
        }
    }

    fn says(&self, token: &str) -> Result<(), BadToken> {
        self.verifier.verify(token, 0).map(|_| ())
    }

    fn write(&self, keys: &str) {
        std::fs::write(&self.file, keys).expect("written");
    }
}

/// Lets the reader do all that it does within this time.
async fn after(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_read_soon_after_a_token_names_it() {
    let world = World::with(&set(&["old"]));
    assert_eq!(world.says(&token("old")), Ok(()));
    after(PAUSE * 2).await;
    world.write(&set(&["old", "new"]));
    assert_eq!(world.says(&token("new")), Err(BadToken::UnknownKey));
    after(Duration::from_secs(1)).await;
    assert_eq!(world.says(&token("new")), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_key_ends_what_was_remembered_of_it() {
    let world = World::with(&set(&["a", "b"]));
    assert_eq!(world.says(&token("a")), Ok(()));
    world.write(&set(&["b"]));
    after(REFRESH + PAUSE).await;
    assert_eq!(world.says(&token("a")), Err(BadToken::UnknownKey));
    assert_eq!(world.says(&token("b")), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn invented_keys_do_not_make_it_read_more_often_than_the_pause() {
    let world = World::with(&set(&["a"]));
    after(PAUSE * 2).await;
    assert_eq!(world.says(&token("invented")), Err(BadToken::UnknownKey));
    after(Duration::from_secs(1)).await; // read now: the pause begins
    world.write(&set(&["a", "new"]));
    for _ in 0..PAUSE.as_secs() - 2 {
        assert_eq!(world.says(&token("new")), Err(BadToken::UnknownKey));
        after(Duration::from_secs(1)).await;
    }
    after(Duration::from_secs(2)).await;
    assert_eq!(
        world.says(&token("new")),
        Ok(()),
        "wanted meanwhile, read after the pause"
    );
}

#[tokio::test(start_paused = true)]
async fn keys_are_believed_for_a_day_without_their_issuer_and_then_no_more() {
    let world = World::with(&set(&["a"]));
    for broken in ["", "<html>", r#"{"keys": {}}"#] {
        world.write(broken);
        after(MAX_STALE / 4).await;
        assert_eq!(world.says(&token("a")), Ok(()));
    }
    std::fs::remove_file(&world.file).expect("was there");
    after(MAX_STALE / 2).await;
    assert_eq!(world.says(&token("a")), Err(BadToken::UnknownKey));
    world.write(&set(&["a"]));
    after(REFRESH).await;
    assert_eq!(world.says(&token("a")), Ok(()), "the issuer is back");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_who_withdraws_his_only_key_is_believed() {
    let world = World::with(&set(&["a"]));
    assert_eq!(world.says(&token("a")), Ok(()));
    world.write(r#"{"keys": []}"#);
    after(REFRESH + PAUSE).await;
    assert_eq!(world.says(&token("a")), Err(BadToken::UnknownKey));
    world.write(&set(&["b"]));
    after(REFRESH + PAUSE).await;
    assert_eq!(world.says(&token("b")), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn two_users_of_a_source_share_its_keys_and_the_reading_ends_with_the_last() {
    let world = World::with(&set(&["a"]));
    let source = KeySource::File(world.file.clone());
    let again = world
        .issuers
        .keys(&source, Algorithm::Es256)
        .expect("known");
    let first = Arc::downgrade(&again);
    drop(again);
    assert!(first.upgrade().is_some(), "the verifier holds it");
    drop(world.verifier);
    after(PAUSE).await;
    assert!(first.upgrade().is_none());
}
