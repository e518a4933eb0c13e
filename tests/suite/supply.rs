//! What the program is made of: `deny.toml`, held against what cargo resolves.

use serde_json::Value as Json;
use spdx::{Expression, ParseMode};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Where cargo says a package of its default registry comes from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The dependencies as cargo resolves them, and what may be among them.
struct Supply {
    packages: BTreeMap<String, Json>,
    /// By package, those that it needs to be built or to run.
    needs: BTreeMap<String, Vec<String>>,
    root: String,
    deny: toml::Table,
}

fn text(value: &Json, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn needed(node: &Json) -> Vec<String> {
    let of = |value: &Json| value.as_array().cloned().unwrap_or_default();
    let is_shipped = |dep: &Json| {
        of(&dep["dep_kinds"])
            .iter()
            .any(|kind| kind["kind"] != "dev")
    };
    let deps = of(&node["deps"]);
    let shipped = deps.iter().filter(|dep| is_shipped(dep));
    shipped.map(|dep| text(dep, "pkg")).collect()
}

fn host() -> String {
    let version = Command::new("rustc").arg("-vV").output().expect("rustc");
    let version = String::from_utf8(version.stdout).expect("text");
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("a host").to_owned()
}

fn supply() -> Supply {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--all-features",
        ])
        .arg("--filter-platform")
        .arg(host())
        .current_dir(here)
        .output()
        .expect("cargo metadata");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata: {said}");
    let metadata: Json = serde_json::from_slice(&output.stdout).expect("JSON");
    let all = |value: &Json| value.as_array().cloned().expect("a list");
    let packages = all(&metadata["packages"]);
    let nodes = all(&metadata["resolve"]["nodes"]);
    let deny = std::fs::read_to_string(here.join("deny.toml")).expect("deny.toml");
    Supply {
        packages: packages
            .into_iter()
            .map(|package| (text(&package, "id"), package))
            .collect(),
        needs: nodes
            .iter()
            .map(|node| (text(node, "id"), needed(node)))
            .collect(),
        root: text(&metadata["resolve"], "root"),
        deny: deny.parse().expect("TOML"),
    }
}

impl Supply {
    /// All that is shipped or builds what is, but for the program itself.
    fn shipped(&self) -> Vec<&Json> {
        let mut seen = BTreeSet::new();
        let mut next = vec![&self.root];
        while let Some(id) = next.pop() {
            if seen.insert(id) {
                next.extend(&self.needs[id]);
            }
        }
        seen.remove(&self.root);
        assert!(
            seen.len() > 100,
            "{} packages are too few to be all",
            seen.len()
        );
        seen.into_iter().map(|id| &self.packages[id]).collect()
    }

    fn list(&self, table: &str, key: &str) -> Vec<toml::Value> {
        self.deny[table][key].as_array().cloned().expect("a list")
    }
}

fn named(package: &Json) -> String {
    format!("{} {}", text(package, "name"), text(package, "version"))
}

#[test]
fn every_dependency_has_a_licence_that_is_allowed_and_each_allowed_one_is_needed() {
    let supply = supply();
    let allowed = supply.list("licenses", "allow");
    let allowed: Vec<&str> = allowed.iter().filter_map(toml::Value::as_str).collect();
    let mut used = BTreeSet::new();
    for package in supply.shipped() {
        let licence = text(package, "license");
        let expression = Expression::parse_mode(&licence, ParseMode::LAX)
            .unwrap_or_else(|error| panic!("{}: {licence}: {error}", named(package)));
        let is_allowed = expression.evaluate(|asked| {
            let id = asked.license.id().map(|id| id.name);
            let allowed = id.filter(|id| allowed.contains(id) && asked.addition.is_none());
            used.extend(allowed);
            allowed.is_some()
        });
        assert!(is_allowed, "{}: {licence}", named(package));
    }
    let idle: Vec<_> = allowed.iter().filter(|id| !used.contains(*id)).collect();
    assert!(idle.is_empty(), "allowed for nobody: {idle:?}");
}

#[test]
fn every_dependency_comes_from_the_registry() {
    let supply = supply();
    for package in supply.shipped() {
        assert_eq!(text(package, "source"), REGISTRY, "{}", named(package));
    }
}

#[test]
fn no_dependency_is_there_in_two_versions_but_those_that_are_listed() {
    let supply = supply();
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in supply.shipped() {
        let of = versions.entry(text(package, "name")).or_default();
        of.insert(text(package, "version"));
    }
    let skipped = supply.list("bans", "skip");
    for skip in &skipped {
        let spec = skip["crate"].as_str().expect("a crate");
        let (name, version) = spec.split_once('@').expect("name@version");
        let of = versions.get_mut(name).expect(spec);
        let before = of.len();
        of.retain(|other| !other.starts_with(&format!("{version}.")));
        assert_eq!(of.len() + 1, before, "{spec}: no such version is there");
    }
    versions.retain(|_, versions| versions.len() > 1);
    assert!(versions.is_empty(), "{versions:?}");
}

#[test]
fn none_of_our_own_code_is_unsafe() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let manifest: toml::Table = std::fs::read_to_string(manifest)
        .expect("Cargo.toml")
        .parse()
        .expect("TOML");
    let lint = &manifest["lints"]["rust"]["unsafe_code"];
    assert_eq!(lint.as_str(), Some("forbid"));
}
