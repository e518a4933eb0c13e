//! `src/lib.rs` is the map: modules in dependency order, each using only those above it.

use std::fs;
use std::path::{Path, PathBuf};

/// Longest file that still has one reason. Tests that stand beside their code count.
const MAX_LINES: usize = 500;

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn modules() -> Vec<String> {
    let map = fs::read_to_string(source().join("lib.rs")).expect("src/lib.rs");
    let declared = map
        .lines()
        .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "));
    declared
        .map(|rest| rest.split(';').next().expect("a name").to_owned())
        .collect()
}

fn files(at: &Path) -> Vec<PathBuf> {
    if at.is_file() {
        return vec![at.to_owned()];
    }
    let Ok(entries) = fs::read_dir(at) else {
        return Vec::new();
    };
    entries
        .flat_map(|entry| files(&entry.expect("an entry").path()))
        .collect()
}

fn files_of(module: &str) -> Vec<PathBuf> {
    let single = source().join(format!("{module}.rs"));
    let mut all = files(&source().join(module));
    if single.is_file() {
        all.push(single);
    }
    all
}

/// The modules of this crate that a text names by `crate::module`.
fn used(text: &str) -> Vec<String> {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let joined: String = code.collect::<Vec<_>>().join("\n");
    let after = joined.split("crate::").skip(1);
    after
        .map(|rest| {
            rest.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        })
        .collect()
}

#[test]
fn each_module_uses_only_those_above_it() {
    let modules = modules();
    assert!(modules.len() > 10, "the map lists the modules: {modules:?}");
    for (place, module) in modules.iter().enumerate() {
        let files = files_of(module);
        assert!(!files.is_empty(), "{module} has a file");
        for file in files {
            let text = fs::read_to_string(&file).expect("a source file");
            for other in used(&text) {
                let at = modules.iter().position(|name| *name == other);
                let at = at.unwrap_or_else(|| {
                    panic!("{}: crate::{other} is not on the map", file.display())
                });
                assert!(
                    at <= place,
                    "{} uses {other}, which stands below {module}",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn every_file_of_the_source_is_on_the_map() {
    let modules = modules();
    for file in files(&source()) {
        let inside = file.strip_prefix(source()).expect("inside src");
        let first = inside
            .components()
            .next()
            .expect("a name")
            .as_os_str()
            .to_string_lossy()
            .into_owned();
        let module = first.trim_end_matches(".rs").to_owned();
        let known = modules.contains(&module) || ["lib", "main"].contains(&module.as_str());
        assert!(known, "{} belongs to no module of the map", file.display());
    }
}

#[test]
fn no_file_outgrows_its_reason() {
    for file in files(&source()) {
        let lines = fs::read_to_string(&file)
            .expect("a source file")
            .lines()
            .count();
        assert!(
            lines <= MAX_LINES,
            "{} has {lines} lines, more than {MAX_LINES}",
            file.display()
        );
    }
}

#[test]
fn an_import_from_below_would_be_seen() {
    assert_eq!(
        used("use crate::store::Down;\nlet x = crate::key::render();"),
        ["store", "key"]
    );
    assert_eq!(
        used("/// see crate::nothing\nlet y = 1;"),
        Vec::<String>::new()
    );
}
