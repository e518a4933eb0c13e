//! The written form: bytes → TOML → tables that are each well-formed. Whether they fit each other
//! is for `check`.

pub(super) mod address;
mod budget; // what may be spent
pub(crate) mod alerts;
mod kept;
pub(super) mod keyfile;
mod limit;
mod limits;
mod route;
mod rule;
mod seal;
mod set;
pub(super) mod settings;
pub(super) mod syntax;
mod verify;

pub use limit::LimitDraft;
pub use route::is_name;
pub use rule::{Draft, UNNAMED};
pub use set::SetDraft;

use super::lines::Places;
use super::problem::Problem;
use super::read::{Env, Reader};
use super::section::Section;
use super::settings::{
    AdminSettings, AlertSettings, AuditSettings, IdentitySettings, LocalSettings, ProxySettings,
    StoreSettings,
};
use super::template::{LITERAL_SIGNS, is_literal_char};
use std::path::{Path, PathBuf};
use toml::de::DeTable;

/// Largest rules file. A thousand rules are far below it.
pub const MAX_FILE: usize = 4 << 20;

/// Stands first in every store key where no other is written.
const DEFAULT_NAMESPACE: &str = "sidecache";

/// A file whose tables are each well-formed.
#[derive(Debug)]
pub struct File {
    /// First in every store key.
    pub namespace: String,
    /// `[proxy]`
    pub proxy: ProxySettings,
    /// `[admin]`
    pub admin: Option<AdminSettings>,
    /// `[local]`
    pub local: LocalSettings,
    /// `[store]`
    pub store: StoreSettings,
    /// `[audit]`
    pub audit: AuditSettings,
    /// `[alerts]`
    pub alerts: Option<AlertSettings>,
    /// `[identity]`
    pub identity: Option<IdentitySettings>,
    /// `[[cache]]`
    pub caches: Vec<Draft>,
    /// `[[invalidate]]`
    pub sets: Vec<SetDraft>,
    /// `[[limit]]`
    pub limits: Vec<LimitDraft>,
    /// Where the tables stand of which there is one.
    pub places: Places,
    /// The files that it names: keys, key sets and certificates.
    pub files: Vec<PathBuf>,
    /// One of them could not be read, which another time it may be.
    pub unread: bool,
    /// What is not here is not in the file.
    pub lacks: Lacks,
    /// The syntax is broken somewhere: whatever is not here may be in the file all the same.
    pub broken: bool,
}

/// What a file certainly does not have, well written or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lacks {
    /// An `[identity]` table.
    pub identity: bool,
    /// `verify` in it.
    pub verify: bool,
    /// A `[[cache]]` table beside those that were found.
    pub caches: bool,
    /// An `[[invalidate]]` table beside those that were found.
    pub sets: bool,
}

/// Reads a file. `base` is where the files it names are looked for. `None` where the bytes are not
/// a text that could be read at all.
pub fn read(bytes: &[u8], env: Env<'_>, base: &Path) -> (Option<File>, Vec<Problem>) {
    if bytes.len() > MAX_FILE {
        let message = format!("the file has {} bytes, more than {MAX_FILE}", bytes.len());
        return (
            None,
            vec![Problem::of_file(message, "is this the rules file?")],
        );
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
            let message = format!("the file is not UTF-8: byte {at}, in line {line}");
            return (None, vec![Problem::of_file(message, "save it as UTF-8")]);
        }
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    let reader = Reader::new(text, env, syntax::breaks(&errors, table.get_ref()));
    let root = Section::new(&reader, "the file", 0..0, table.get_ref());
    let mut file = tables(root, base);
    (file.files, file.unread) = (reader.files(), reader.unread());
    let read = reader.into_problems();
    let problems = syntax::merge(text, &errors, table.get_ref(), read);
    (Some(file), problems)
}

fn tables(root: Section<'_>, base: &Path) -> File {
    let namespace = namespace(&root);
    let places = places(&root);
    let proxy = settings::proxy(root.section("proxy", "[proxy]"));
    let admin = settings::admin(root.section("admin", "[admin]"));
    let local = settings::local(root.section("local", "[local]"));
    let store = settings::store(root.section("store", "[store]"), base, proxy.origin_timeout);
    let audit = settings::audit(root.section("audit", "[audit]"));
    let alerts = alerts::settings(root.section("alerts", "[alerts]"));
    let identity = root.section("identity", "[identity]");
    let identity = identity.map(|section| settings::identity(section, base));
    let caches = root.sections("cache", "[[cache]]");
    let sets = root.sections("invalidate", "[[invalidate]]");
    let caches: Vec<Draft> = caches.into_iter().map(rule::cache).collect();
    budget::note_idle(&root, &store, &caches);
    let sets: Vec<SetDraft> = sets.into_iter().map(set::set).collect();
    let limits = root.sections("limit", "[[limit]]");
    let limits: Vec<LimitDraft> = limits.into_iter().map(limit::limit).collect();
    let broken = root.reader.broken;
    let doubts = root.finish(&[]);
    let lacks = |table| !broken && !doubts.of(table);
    let lacks_identity = identity.is_none() && lacks("identity");
    let lacks = Lacks {
        identity: lacks_identity,
        verify: match &identity {
            Some((_, lacks_verify)) => *lacks_verify && !broken,
            None => lacks_identity,
        },
        caches: lacks("cache"),
        sets: lacks("invalidate"),
    };
    File {
        namespace,
        proxy,
        admin,
        local,
        store,
        audit,
        alerts,
        identity: identity.map(|(settings, _)| settings),
        caches,
        sets,
        limits,
        places,
        files: Vec::new(),
        unread: false,
        lacks,
        broken,
    }
}

/// Asked for again, and read, by those who know them.
fn places(root: &Section<'_>) -> Places {
    let lines = |name| root.lines_of(name);
    Places {
        proxy: lines("proxy"),
        store: lines("store"),
        identity: lines("identity"),
        audit: lines("audit"),
    }
}

fn namespace(root: &Section<'_>) -> String {
    let Some(text) = root.text("namespace") else {
        return DEFAULT_NAMESPACE.to_owned();
    };
    if text.value.is_empty() || !text.value.chars().all(is_literal_char) {
        let help = format!("use letters, digits and {LITERAL_SIGNS}");
        let message = "this cannot be a namespace";
        root.reader
            .report(Problem::error(text.span.clone(), message, "here", help));
    }
    text.into_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(bytes: &[u8]) -> Vec<String> {
        let (_, problems) = read(bytes, &|_| None, Path::new("."));
        problems
            .into_iter()
            .map(|problem| problem.message)
            .collect()
    }

    #[test]
    fn bytes_that_are_no_rules_file_are_refused() {
        assert!(problems(&vec![b'#'; MAX_FILE + 1])[0].contains("more than"));
        assert!(problems(b"a = 1\n\xff")[0].contains("byte 6, in line 2"));
    }

    #[test]
    fn broken_syntax_is_reported_beside_the_problems_of_readable_lines() {
        let found = problems(b"namespace = \"a:b\"\n[local]\nmax = 5MiB\nmix = 1\n");
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(
            found.iter().any(|message| message.contains("namespace")),
            "{found:?}"
        );
        assert!(
            found
                .iter()
                .any(|message| message.contains("`mix` is unknown")),
            "{found:?}"
        );
    }

    #[test]
    fn a_key_written_twice_is_refused() {
        let found = problems(b"[local]\nmax = \"1MiB\"\nmax = \"2MiB\"\n");
        assert!(
            found
                .iter()
                .any(|message| message.contains("duplicate key")),
            "{found:?}"
        );
    }
}
