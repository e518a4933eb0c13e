use super::*;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

fn home() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("journal");
    (home, path)
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

fn open(path: &Path) -> (Journal, Replayed) {
    Journal::open(path).expect("a journal")
}

fn refused(path: &Path) -> String {
    match Journal::open(path) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error.to_string(),
    }
}

/// What a file of these bytes replays.
fn replayed(path: &Path, bytes: &[u8]) -> Replayed {
    fs::write(path, bytes).expect("written");
    open(path).1
}

/// A file of three records, and where each of them ends.
fn sample() -> (Vec<String>, Vec<u8>, Vec<usize>) {
    let nodes = names(&["clinic:doctors*", "clinic:ärzte:9!", "c:x*"]);
    let bytes = [MAGIC, &encoded(&nodes)].concat();
    let ends = (0..=nodes.len()).map(|count| MAGIC.len() + encoded(&nodes[..count]).len());
    let ends = ends.collect();
    (nodes, bytes, ends)
}

/// How many records end at or before this place.
fn whole(ends: &[usize], at: usize) -> usize {
    ends.iter().filter(|end| **end <= at).count().max(1) - 1
}

#[test]
fn what_was_recorded_is_replayed_in_order_until_it_is_cleared() {
    let (_home, path) = home();
    let (mut journal, before) = open(&path);
    assert_eq!((before.nodes.len(), before.unreadable), (0, 0));
    let all = names(&["a", "b", "c"]);
    journal.record(&all[..2], all[..2].iter());
    journal.record(&all[2..], all.iter());
    drop(journal);
    let (mut journal, after) = open(&path);
    assert_eq!((after.nodes, after.unreadable), (all, 0));
    journal.clear();
    let again = names(&["d"]);
    journal.record(&again, again.iter());
    drop(journal);
    assert_eq!(open(&path).1.nodes, again);
}

#[test]
fn a_file_cut_off_anywhere_replays_every_whole_record_and_tells_the_rest() {
    let (_home, path) = home();
    let (nodes, bytes, ends) = sample();
    for at in 0..bytes.len() {
        let found = replayed(&path, &bytes[..at]);
        let count = whole(&ends, at);
        assert_eq!(found.nodes, nodes[..count], "cut at {at}");
        let rest = at.saturating_sub(ends[count]) as u64;
        assert_eq!(found.unreadable, rest, "cut at {at}");
    }
}

#[test]
fn a_flipped_bit_anywhere_loses_no_record_before_it_and_is_noticed() {
    let (_home, path) = home();
    let (nodes, bytes, ends) = sample();
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if bit / 8 < MAGIC.len() {
            fs::write(&path, &bytes).expect("written");
            assert!(refused(&path).contains("not a journal"), "bit {bit}");
            assert_eq!(fs::read(&path).expect("there"), bytes, "left alone");
            continue;
        }
        let found = replayed(&path, &bytes);
        let count = whole(&ends, bit / 8);
        assert_eq!(found.nodes, nodes[..count], "bit {bit}");
        assert_eq!(found.unreadable, (bytes.len() - ends[count]) as u64);
    }
}

#[test]
fn zeroes_behind_the_records_are_no_records() {
    let (_home, path) = home();
    let (nodes, mut bytes, _) = sample();
    bytes.extend_from_slice(&[0; 64]);
    let found = replayed(&path, &bytes);
    assert_eq!((found.nodes, found.unreadable), (nodes, 64));
}

#[test]
fn a_damaged_file_keeps_its_damage_until_all_that_is_owed_stands_in_its_place() {
    let (_home, path) = home();
    let (_, mut bytes, _) = sample();
    bytes.push(7);
    fs::write(&path, &bytes).expect("written");
    drop(open(&path));
    assert_eq!(fs::read(&path).expect("there"), bytes);
    let (mut journal, found) = open(&path);
    assert_eq!(found.unreadable, 1);
    let owed = names(&["all"]);
    journal.record(&[], owed.iter());
    drop(journal);
    let found = open(&path).1;
    assert_eq!((found.nodes, found.unreadable), (owed, 0));
}

#[test]
fn a_second_owner_is_refused_also_after_the_file_was_replaced() {
    let (home, path) = home();
    let (mut journal, _) = open(&path);
    assert!(refused(&path).contains("another process uses it"));
    let link = home.path().join("link");
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    assert!(refused(&link).contains("another process uses it"));
    journal.replace(names(&["a"]).iter());
    assert!(refused(&path).contains("another process uses it"));
    drop(journal);
    let (mut journal, found) = open(&link);
    assert_eq!(found.nodes, ["a"]);
    journal.replace(names(&["b"]).iter());
    drop(journal);
    assert!(link.is_symlink(), "what it names was replaced");
    assert_eq!(open(&path).1.nodes, ["b"]);
}

#[test]
fn what_cannot_be_a_journal_is_refused_with_path_and_remedy() {
    let (home, path) = home();
    let nowhere = home.path().join("absent/journal");
    let shown = refused(&nowhere);
    assert!(shown.contains("absent/journal") && shown.contains("in a directory that exists"));
    assert!(refused(home.path()).contains("name a file"));
    assert!(refused(Path::new("/dev/null")).contains("not a regular file"));
    for other in ["namespace = \"x\"\n", "sidecache journal 2\n"] {
        fs::write(&path, other).expect("written");
        assert!(refused(&path).contains("name another file"));
        assert_eq!(fs::read_to_string(&path).expect("there"), other);
    }
}

#[test]
fn a_file_past_its_size_is_replaced_by_what_is_owed_now() {
    let (_home, path) = home();
    let (mut journal, _) = open(&path);
    let long = names(&["x".repeat(1 << 20).as_str()]);
    for _ in 0..3 {
        journal.record(&long, long.iter());
    }
    assert!(fs::metadata(&path).expect("there").len() > 3 << 20);
    journal.record(&long, names(&["left"]).iter());
    assert_eq!(fs::read(&path).expect("there").len(), MAGIC.len() + 12 + 4);
    drop(journal);
    assert_eq!(open(&path).1.nodes, ["left"]);
}

#[test]
fn left_over_beginnings_of_a_replacement_are_in_nobodys_way() {
    let (_home, path) = home();
    fs::write(beside(&path), "torn").expect("written");
    let (mut journal, _) = open(&path);
    journal.replace(names(&["a"]).iter());
    assert!(!beside(&path).exists());
    drop(journal);
    assert_eq!(open(&path).1.nodes, ["a"]);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_journal_that_cannot_be_written_is_reported_once_and_whole_as_soon_as_it_can() {
    let (_home, path) = home();
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone());
    let said = |words: &str| {
        let text = log.0.lock().expect("not poisoned").clone();
        String::from_utf8_lossy(&text).matches(words).count()
    };
    tracing::subscriber::with_default(subscriber.finish(), || {
        let (mut journal, _) = open(&path);
        let owed = names(&["a", "b", "c"]);
        // As on a disk that takes nothing: neither this file nor another beside it.
        journal.file = File::open(&path).expect("there");
        fs::create_dir(beside(&path)).expect("in the way");
        for count in 1..=3 {
            journal.record(&owed[count - 1..count], owed[..count].iter());
        }
        assert_eq!(said("cannot be written"), 1);
        fs::remove_dir(beside(&path)).expect("out of the way");
        journal.record(&[], owed.iter());
        assert_eq!(said("whole again"), 1);
        drop(journal);
        let found = open(&path).1;
        assert_eq!((found.nodes, found.unreadable), (owed, 0));
    });
}
