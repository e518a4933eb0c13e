//! Looks at files that change, without waiting for the time between them.

use super::*;
use crate::rules::table::Rule;

const RULE: &str = "[[cache]]\nname = \"kept\"\nmatch = \"GET /kept\"\nkey = \"kept\"\nquery = []\n\
                    ttl = \"5m\"\npublic = true\n";
const SET: &str = "[[invalidate]]\nname = \"changed\"\non = \"POST /kept\"\ndrop = [\"kept\"]\n";
const HEAD: &str = "[proxy]\norigin = \"http://127.0.0.1:1\"\n[store]\nurl = \"memory:\"\n";

fn whole() -> String {
    [HEAD, RULE, SET].concat()
}

/// A rules file in force.
struct World {
    reloader: Reloader,
    directory: tempfile::TempDir,
}

impl World {
    fn with(text: &str) -> World {
        let directory = tempfile::tempdir().expect("a directory");
        let rules = directory.path().join("rules.toml");
        std::fs::write(&rules, text).expect("a file");
        let (loaded, stamps) = load_still(&rules, &Stamps::default());
        let (table, _) = loaded.map_err(NotLoaded::told).expect("it is right");
        let live = Live::apart(table).expect("it can be carried out");
        let live = Arc::new(ArcSwap::from_pointee(live));
        World {
            reloader: Reloader::new(&rules, live, stamps),
            directory,
        }
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.reloader.rules, text).expect("a file");
    }

    /// As the watch looks, so often in a row.
    fn looks(&self, times: usize) {
        (0..times).fold(None, |seen, _| self.reloader.look(seen));
    }

    /// Rules and sets in force, and how often they could not be renewed.
    fn stands(&self) -> (usize, usize, u64) {
        let live = self.reloader.live.load();
        let failures = live.ground.metrics.reload_failures();
        (live.table.rules.len(), live.table.sets.len(), failures)
    }
}

#[tokio::test]
async fn a_change_is_tried_when_it_was_seen_twice_alike() {
    let world = World::with(&[HEAD, RULE].concat());
    world.write(&[HEAD, RULE, "# being written\n"].concat());
    let seen = world.reloader.look(None);
    assert!(seen.is_some());
    world.write(&whole());
    let seen = world.reloader.look(seen);
    assert!(seen.is_some(), "it is another than the one that was seen");
    assert_eq!(world.stands(), (1, 0, 0));
    assert_eq!(world.reloader.look(seen), None);
    assert_eq!(world.stands(), (1, 1, 0));
}

#[tokio::test]
async fn a_refusal_is_remembered_until_rules_are_put_in_force() {
    let world = World::with(&whole());
    let refused = || world.reloader.live.load().refused_at_ms();
    assert_eq!(refused(), None);
    world.write(&whole().replace("ttl", "tttl"));
    world.reloader.reload().expect_err("there is no tttl");
    assert!(refused() >= Some(world.reloader.live.load().since_ms));
    world.write(&whole());
    world.reloader.reload().expect("it is right");
    assert_eq!(refused(), None);
}

#[tokio::test]
async fn a_file_that_lost_all_rules_or_sets_is_taken_from_a_person_and_not_from_the_watch() {
    for cut in [[HEAD, RULE].concat(), HEAD.to_owned()] {
        let world = World::with(&whole());
        world.write(&cut);
        world.looks(8);
        assert_eq!(world.stands(), (1, 1, 1), "told once: {cut}");
    }
    let world = World::with(&whole());
    world.write(&[HEAD, RULE].concat());
    world.looks(2);
    let told = world.reloader.tried.lock().expect("whole").failure.clone();
    let told = told.expect("it was refused");
    assert!(told.contains("no [[invalidate]] table"), "{told}");
    assert!(told.contains("`sidecache reload` or SIGHUP"), "{told}");
    world.reloader.reload().expect("it is meant");
    assert_eq!(world.stands(), (1, 0, 1));
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_tried_once_and_one_that_cannot_be_read_until_it_can() {
    let world = World::with(&whole());
    world.write(&whole().replace("ttl", "tttl"));
    world.looks(8);
    assert_eq!(world.stands(), (1, 1, 1));
    assert_eq!(
        world.reloader.changed(),
        None,
        "nothing is left to be tried"
    );
    world.write(&(whole().replace("ttl", "tttl") + "\n"));
    world.looks(2);
    assert_eq!(
        world.stands(),
        (1, 1, 2),
        "another file, wrong in the same way"
    );
    let beside = world.directory.path().join("beside");
    std::fs::rename(&world.reloader.rules, &beside).expect("moved");
    world.looks(8);
    assert_eq!(world.stands(), (1, 1, 3), "told once");
    assert!(world.reloader.changed().is_some(), "still to be tried");
}

#[tokio::test]
async fn a_change_comes_into_force_though_the_files_could_not_be_read_at_first() {
    let world = World::with(&[HEAD, RULE].concat());
    let identity = "[identity]\ntoken = \"header:authorization\"\n\
                    verify = { algorithm = \"EdDSA\", public_key = \"key.pem\" }\n";
    world.write(&[&whole(), identity].concat());
    let key = world.directory.path().join("key.pem");
    // Something that the owner, and root, may not read either.
    std::fs::create_dir(&key).expect("a directory");
    world.looks(4);
    assert_eq!(world.stands(), (1, 0, 1));
    std::fs::remove_dir(&key).expect("removed");
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    std::fs::write(&key, pair.public_key_pem()).expect("a file");
    world.looks(2);
    assert_eq!(world.stands(), (1, 1, 1));
    // From now on it is a part of the rules.
    std::fs::write(&key, pair.public_key_pem() + "\n").expect("a file");
    assert!(world.reloader.changed().is_some());
}

#[tokio::test]
async fn the_watch_does_not_try_what_a_person_has_tried_meanwhile() {
    let world = World::with(&whole());
    world.write(&whole().replace("ttl", "tttl"));
    let seen = world.reloader.look(None);
    world.reloader.reload().expect_err("it is wrong");
    assert_eq!(world.reloader.look(seen), None);
    assert_eq!(world.stands(), (1, 1, 1));
}

#[test]
fn a_file_that_changes_while_it_is_read_is_read_again_and_at_last_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let rules = directory.path().join("rules.toml");
    let write = |text: &str| std::fs::write(&rules, text).expect("a file");
    let names = |loaded: Loaded| {
        let (table, _) = loaded.map_err(NotLoaded::told)?;
        let names = table.rules.iter().map(|rule: &Arc<Rule>| rule.name.clone());
        Ok::<_, String>(names.collect::<Vec<_>>())
    };
    write(HEAD);
    let mut loads = 0;
    let (loaded, stamps) = still(&rules, &Stamps::default(), || {
        let read = load_noting(&rules, false);
        loads += 1;
        if loads == 1 {
            write(&whole()); // the rest of it
        }
        read
    });
    assert_eq!((names(loaded), loads), (Ok(vec!["kept".to_owned()]), 2));
    assert_eq!(stamps, stamps.now());
    let mut longer = whole();
    let (loaded, _) = still(&rules, &Stamps::default(), || {
        let read = load_noting(&rules, false);
        longer.push('\n');
        write(&longer);
        read
    });
    let told = names(loaded).expect_err("it never stood still");
    assert!(told.contains("changes while it is read"), "{told}");
}
