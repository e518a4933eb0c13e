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
        &[("{id}", "1"), ("{response.data.id}", "1")],
        &[(&["d", "1", "a"], true), (&["d", "2", "a"], false)],
    );
    assert_eq!(named("d:{id}:{kind}", &[one]), "d:{id}:*");
    let alone = write(&[("{id}", "1")], &[(&["d", "1", "a"], true)]);
    assert_eq!(
        named("d:{id}:{kind}", &[alone]),
        "d:*",
        "nothing else was asked"
    );
}

#[test]
fn a_key_is_named_whole_where_every_value_is_the_writes() {
    let one = write(
        &[("{id}", "1"), ("{body.kind}", "a")],
        &[
            (&["d", "1", "a"], true),
            (&["d", "1", "b"], false),
            (&["d", "2", "a"], false),
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
        ("{claims.role}", "ADMIN"),
        ("{claims.role | lower}", "admin"),
    ];
    let reads: [(&[&str], bool); 2] = [
        (&["d", "admin", "a"], true),
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
