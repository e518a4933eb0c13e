use super::super::Case;
use super::*;
use crate::rules::check;
use std::path::Path;

const RULES: &str = r#"namespace = "ns"
[proxy]
listen = "127.0.0.1:0"
origin = "http://127.0.0.1:1"
auto_invalidate = false

[[cache]]
name = "list"
match = "GET /things"
key = "things:list:{query}"
ttl = "1m"
public = true

[[cache]]
name = "thing"
match = "GET /things/{id}"
key = "things:one:{id}"
query = []
ttl = "1m"
public = true

"#;

/// Of the rule `list`.
const LIST: usize = 0;

/// Of the rule `thing`.
const THING: usize = 1;

fn table(sets: &str) -> Table {
    let text = format!("{RULES}{sets}");
    let checked = check::compile(text.as_bytes(), &|_| None, Path::new("."));
    let shown = checked.render("rules.toml", text.as_bytes(), false);
    checked.table.unwrap_or_else(|| panic!("{shown}"))
}

/// A write, and the reads around it: the last segment of each one's key, and whether it changed.
fn write(route: &str, parts: &[(&str, &str)], reads: &[(usize, &str, bool)]) -> Write {
    let case = |(rule, last, is_changed): &(usize, &str, bool)| {
        let second = if *rule == LIST { "list" } else { "one" };
        Case {
            rule: *rule,
            label: format!("rule#{last}"),
            segments: ["things", second, last].map(str::to_owned).to_vec(),
            at: is_changed.then(|| "/name".to_owned()).into_iter().collect(),
            dropped_by: Vec::new(),
        }
    };
    let part = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Write {
        route: route.to_owned(),
        parts: parts.iter().map(part).collect(),
        unmeasured: None,
        cases: reads.iter().map(case).collect(),
    }
}

fn proposed(table: &Table, writes: Vec<Write>) -> Proposal {
    let measured = Measured {
        writes,
        ..Measured::default()
    };
    Proposal::of(table, &measured, &Matrix::of(&measured))
}

/// The tables, after they have been found sound.
fn sound(proposal: &Proposal) -> String {
    let toml = proposal.toml();
    table(&toml);
    toml
}

const CHANGED_ONE: [(usize, &str, bool); 2] = [(THING, "thing-1", true), (THING, "thing-2", false)];

#[test]
fn a_set_that_is_there_is_extended_and_keeps_all_that_it_says() {
    let table = table(
        "[[invalidate]]\nname = \"changed\"\non = \"PATCH /things/{id}\"\ndrop = [\"things:list:*\"]\n\
         commits = [\"2xx\", \"409\"]\nsoft = true\n",
    );
    let one = write("PATCH /things/{id}", &[("{id}", "thing-1")], &CHANGED_ONE);
    assert_eq!(
        sound(&proposed(&table, vec![one])),
        "[[invalidate]]\nname = \"changed\"\non   = [\"PATCH /things/{id}\"]\ndrop = [\n  \"things:list:*\",\n  \
         \"things:one:{id}\", # new: thing: 1 of 2 answers changed: /name\n]\ncommits = [\"2xx\", \"409\"]\n\
         soft = true\n\n"
    );
}

#[test]
fn what_a_path_names_goes_to_a_set_of_its_own_where_others_share_the_set() {
    let table = table(
        "[[invalidate]]\nname = \"changed\"\non = [\"PATCH /things/{id}\", \"POST /things\"]\ndrop = [\"things:list:*\"]\n",
    );
    let one = write("PATCH /things/{id}", &[("{id}", "thing-1")], &CHANGED_ONE);
    let toml = sound(&proposed(&table, vec![one]));
    assert!(
        toml.ends_with(
            "name = \"patch-things\" # new\non   = [\"PATCH /things/{id}\"]\ndrop = [\n  \"things:one:{id}\", # \
             new: thing: 1 of 2 answers changed: /name\n]\n\n"
        ),
        "{toml}"
    );
}

#[test]
fn a_wide_drop_takes_the_place_of_narrow_ones_and_says_what_speaks_for_it() {
    let table = table(
        "[[invalidate]]\nname = \"changed\"\non = \"PUT /things/{id}\"\ndrop = [\"things:one:{id}\"]\n",
    );
    let both = [(THING, "1", true), (THING, "2", true), (LIST, "x", false)];
    let one = write("PUT /things/{id}", &[("{id}", "1")], &both);
    let proposal = proposed(&table, vec![one]);
    assert_eq!(proposal.missing[0].drop, "things:one:*");
    let toml = sound(&proposal);
    assert!(!toml.contains("things:one:{id}"), "{toml}");
    assert!(
        toml.contains("\"things:one:*\", # new: thing: 2 of 2 answers changed: /name"),
        "{toml}"
    );
}

#[test]
fn new_sets_are_named_after_their_routes_and_no_two_alike() {
    assert_eq!(
        name_of("POST /api/v1/orders/{id}/pay-later"),
        "post-orders-pay-later"
    );
    assert_eq!(name_of("DELETE /"), "delete");
    assert_eq!(name_of(&format!("PUT /{}", "a".repeat(90))).len(), MAX_NAME);
    let table = table("");
    let of = |route: &str| write(route, &[], &[(LIST, "x", true)]);
    let toml = sound(&proposed(
        &table,
        vec![of("POST /api/v1/a"), of("POST /api/v2/a")],
    ));
    assert!(
        toml.contains("name = \"post-a\"") && toml.contains("name = \"post-a-2\""),
        "{toml}"
    );
}

#[test]
fn where_nothing_changed_the_sets_stay_as_they_are() {
    let sets =
        "[[invalidate]]\nname = \"changed\"\non = \"POST /things\"\ndrop = [\"things:list:*\"]\n";
    let table = table(sets);
    let one = write("POST /things", &[], &[(LIST, "x", false)]);
    let proposal = proposed(&table, vec![one]);
    assert_eq!((proposal.missing.len(), proposal.useless.len()), (0, 0));
    let toml = "[[invalidate]]\nname = \"changed\"\non   = [\"POST /things\"]\ndrop = [\n  \"things:list:*\",\n]\n\n";
    assert_eq!(sound(&proposal), toml);
}
