use super::*;
use crate::rules::check;
use crate::rules::table::Table;
use std::path::Path;

fn table(key: &str) -> Table {
    let text = format!(
        "namespace = \"ns\"\n[proxy]\nlisten = \"127.0.0.1:0\"\norigin = \"http://127.0.0.1:1\"\n\
         [[cache]]\nname = \"r\"\nmatch = \"GET /p/{{id}}/{{kind}}\"\nkey = \"{key}\"\nttl = \"1m\"\n\
         query = []\npublic = true\n"
    );
    let checked = check::compile(text.as_bytes(), &|_| None, Path::new("."));
    let shown = checked.render("rules.toml", text.as_bytes(), false);
    checked.table.unwrap_or_else(|| panic!("{shown}"))
}

/// A write that holds these parts, and the reads around it: the segments of each, and whether it changed.
fn write(parts: &[(&str, &str)], reads: &[(&[&str], bool)]) -> Write {
    let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    Write {
        route: "PATCH /p/{id}".to_owned(),
        parts: parts
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        unmeasured: None,
        cases: reads
            .iter()
            .map(|(segments, is_changed)| Case {
                rule: 0,
                label: String::new(),
                segments: owned(segments),
                at: if *is_changed {
                    owned(&["/data"])
                } else {
                    Vec::new()
                },
                dropped_by: Vec::new(),
            })
            .collect(),
    }
}

fn named(key: &str, writes: &[Write]) -> String {
    drop_for(&table(key).rules[0], &writes.iter().collect::<Vec<_>>())
}

#[test]
fn what_the_write_holds_names_the_key_where_others_are_seen_to_stay_as_they_were() {
    let one = write(
        &[("{id}", "item-1"), ("{response.data.id}", "item-1")],
        &[(&["d", "item-1", "a"], true), (&["d", "2", "a"], false)],
    );
    assert_eq!(named("d:{id}:{kind}", &[one]), "d:{id}:*");
    let alone = write(&[("{id}", "item-1")], &[(&["d", "item-1", "a"], true)]);
    assert_eq!(
        named("d:{id}:{kind}", &[alone]),
        "d:*",
        "nothing else was asked"
    );
}

#[test]
fn a_key_is_named_whole_where_every_value_is_the_writes() {
    let one = write(
        &[("{id}", "item-1"), ("{body.kind}", "kind-a")],
        &[
            (&["d", "item-1", "kind-a"], true),
            (&["d", "item-1", "kind-b"], false),
            (&["d", "item-2", "kind-a"], false),
        ],
    );
    assert_eq!(named("d:{id}:{kind}", &[one]), "d:{id}:{body.kind}");
}

#[test]
fn the_part_that_names_all_changed_keys_of_all_writes_is_taken() {
    let of = |id: &str, doctor: &str| {
        write(
            &[("{id}", id), ("{response.data.doctorId}", doctor)],
            &[
                (&["d", "7", "a"], doctor == "7"),
                (&["d", "8", "a"], doctor == "8"),
            ],
        )
    };
    let writes = [of("7", "7"), of("7", "8")];
    assert_eq!(
        named("d:{id}:{kind}", &writes),
        "d:{response.data.doctorId}:*"
    );
    let none = [
        of("7", "7"),
        write(&[("{id}", "7")], &[(&["d", "8", "a"], true)]),
    ];
    assert_eq!(
        named("d:{id}:{kind}", &none),
        "d:*",
        "no part names them all"
    );
}

#[test]
fn parts_are_filtered_as_the_key_filters() {
    let parts = [
        ("{claims.role}", "ADMINS"),
        ("{claims.role | lower}", "admins"),
    ];
    let reads: [(&[&str], bool); 2] = [
        (&["d", "admins", "a"], true),
        (&["d", "patient", "a"], false),
    ];
    let one = [write(&parts, &reads)];
    assert_eq!(
        named("d:{id | lower}:{kind}", &one),
        "d:{claims.role | lower}:*"
    );
    assert_eq!(
        named("d:{id}:{kind}", &one),
        "d:*",
        "another spelling is another key"
    );
}

#[test]
fn one_short_value_names_nothing_and_two_do() {
    let of = |rating: &str, id: &str| {
        write(
            &[("{body.a_rating}", rating), ("{body.id}", id)],
            &[
                (&["d", "5", "a"], id == "5"),
                (&["d", "6", "a"], id == "6"),
                (&["d", "7", "a"], false),
            ],
        )
    };
    assert_eq!(named("d:{id}:{kind}", &[of("5", "5")]), "d:*");
    let writes = [of("5", "5"), of("6", "6")];
    assert_eq!(named("d:{id}:{kind}", &writes), "d:{body.id}:*");
}

#[test]
fn what_every_write_holds_names_nothing() {
    let of = |is_changed: bool| {
        write(
            &[("{body.tenant}", "tenant-1")],
            &[
                (&["d", "tenant-1", "a"], is_changed),
                (&["d", "tenant-2", "a"], false),
            ],
        )
    };
    assert_eq!(named("d:{id}:{kind}", &[of(true), of(true)]), "d:*");
    assert_eq!(named("d:{id}:{kind}", &[of(true)]), "d:{body.tenant}:*");
}

#[test]
fn of_parts_that_hold_the_same_the_one_that_is_called_like_the_key_is_taken() {
    let taken = |parts: &[&str]| {
        let parts: Vec<(&str, &str)> = parts.iter().map(|part| (*part, "item-1")).collect();
        let reads: [(&[&str], bool); 2] =
            [(&["d", "item-1", "a"], true), (&["d", "2", "a"], false)];
        named("d:{id}:{kind}", &[write(&parts, &reads)])
    };
    assert_eq!(taken(&["{slug}", "{body.doctorId}"]), "d:{body.doctorId}:*");
    assert_eq!(taken(&["{slug}", "{body.paid}"]), "d:{slug}:*");
    assert_eq!(
        taken(&["{claims.id}", "{body.id}", "{response.id}"]),
        "d:{response.id}:*"
    );
}
