//! What happens when something fails, as the README's table tells it: each of its rows is held against
//! tests, and the rows that no other part of the suite proves are proven here.

mod disk; // the journal's disk is full
mod files; // no more files can be opened
mod hung; // a sidecar that is stopped
mod names; // names that do not resolve

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The heading that the table stands under.
const HEADING: &str = "### What happens when something fails";

/// Each row by its first cell, and the tests that prove it.
const PROOFS: &[(&str, &[&str])] = &[
    (
        "Redis is down",
        &[
            "a_killed_redis_that_starts_empty_costs_hits_and_nothing_else",
            "a_bump_while_redis_is_down_is_owed_and_paid_before_anything_is_read",
        ],
    ),
    (
        "Redis hangs",
        &[
            "a_hung_redis_makes_each_request_wait_once_and_serves_nothing_old_later",
            "values_that_fill_the_socket_of_a_hung_redis_hold_up_nothing_for_long",
        ],
    ),
    (
        "Redis is slow, or the way to it breaks off",
        &[
            "whatever_happens_to_a_reply_clients_get_the_origins_answer_and_no_write_is_lost",
            "a_late_reply_is_never_taken_for_another_commands",
        ],
    ),
    (
        "Redis is full",
        &[
            "a_full_store_serves_what_it_keeps_and_forgets_what_is_written",
            "a_full_redis_still_settles",
        ],
    ),
    (
        "A value is too large for the provider",
        &["a_value_that_is_too_large_is_sent_once_and_kept_by_this_process_alone"],
    ),
    (
        "The provider's quota is spent",
        &[
            "a_spent_quota_costs_no_read_a_round_trip_and_loses_no_write",
            "a_spent_quota_refuses_writes_where_an_outage_does",
        ],
    ),
    (
        "Redis refuses writes (a replica)",
        &["a_store_that_refuses_writes_is_left_alone_until_it_was_told_of_them"],
    ),
    (
        "Redis restarts empty, or is flushed",
        &[
            "a_killed_redis_that_starts_empty_costs_hits_and_nothing_else",
            "flushing_redis_under_traffic_never_shows_an_old_answer",
        ],
    ),
    (
        "Redis restarts with old data",
        &[
            "a_redis_that_comes_back_with_what_it_held_before_a_write_serves_none_of_it",
            "everything_is_dropped_once_by_a_server_that_changed_and_never_by_one_that_is_new",
        ],
    ),
    (
        "Redis fails over to a replica",
        &[
            "sentinels_lead_to_the_primary_and_to_the_next_one_when_it_dies_or_steps_down",
            "a_cluster_fails_over_under_traffic_and_nobody_is_served_what_is_old",
        ],
    ),
    (
        "The provider closes idle connections",
        &[
            "a_connection_that_is_closed_when_idle_costs_no_client_an_error_and_is_made_again",
            "an_idle_connection_gives_a_sign_of_life",
        ],
    ),
    (
        "The name of Redis does not resolve",
        &["a_redis_whose_name_is_unknown_is_done_without_until_it_is_known"],
    ),
    (
        "The origin is down, or hangs",
        &[
            "an_origin_that_is_down_or_slow_is_told_in_short_json",
            "it_starts_before_its_origin_and_serves_it_once_it_comes",
        ],
    ),
    (
        "The origin breaks off, or answers garbage",
        &[
            "an_answer_that_breaks_off_is_seen_to_and_never_kept",
            "what_is_no_answer_is_told_as_such_and_leaves_no_trace",
        ],
    ),
    (
        "The name of the origin does not resolve",
        &["an_origin_whose_name_is_unknown_is_told_and_found_once_it_is_known"],
    ),
    (
        "A sidecar is killed",
        &[
            "a_write_whose_sidecar_dies_ends_its_nodes_at_the_deadline",
            "the_claim_of_a_killed_sidecar_is_taken_over_once_its_life_is_over",
            "what_a_killed_sidecar_owes_is_paid_before_the_next_one_trusts_the_store",
        ],
    ),
    (
        "A sidecar hangs",
        &["a_sidecar_that_hangs_in_a_write_holds_up_no_other_and_finishes_it_when_it_goes_on"],
    ),
    (
        "A sidecar is told to end (SIGTERM)",
        &["a_drain_under_load_loses_no_request_and_no_write"],
    ),
    (
        "A sidecar may open no more files",
        &["a_sidecar_that_runs_out_of_files_lets_clients_wait_and_stays_alive"],
    ),
    (
        "The journal's disk is full",
        &["on_a_full_disk_writes_go_on_what_is_owed_is_remembered_and_the_log_says_so"],
    ),
    (
        "The clock is set",
        &[
            "a_clock_that_is_set_back_lengthens_no_lifetime",
            "a_clock_that_was_set_back_makes_it_a_drop_for_good",
        ],
    ),
];

fn rows(readme: &str) -> Vec<String> {
    let section = readme.split(HEADING).nth(1).expect("the heading");
    let section = section.split("\n#").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| "));
    let cells = rows.filter_map(|row| row.split(" | ").next());
    let first = cells.map(|cell| cell.trim_start_matches("| ").to_owned());
    first
        .filter(|cell| !["What fails", "---"].contains(&cell.as_str()))
        .collect()
}

/// The names of all functions that are tests.
fn tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = BTreeSet::new();
    let mut folders: Vec<PathBuf> = ["src", "tests/suite"].map(|name| root.join(name)).into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                names.extend(tests_of(&std::fs::read_to_string(&path).expect("text")));
            }
        }
    }
    names
}

fn tests_of(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim_start) {
        let signature = line.strip_prefix("async ").unwrap_or(line);
        if let Some(rest) = signature.strip_prefix("fn ") {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            names.extend(is_test.then(|| name.to_owned()));
            is_test = false;
        } else if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        }
    }
    names
}

#[test]
fn each_row_of_the_readmes_table_is_a_test() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let rows = rows(&std::fs::read_to_string(readme).expect("the README"));
    let proven: Vec<_> = PROOFS.iter().map(|(row, _)| row.to_string()).collect();
    assert_eq!(
        rows, proven,
        "the rows of the README, and what they are held against"
    );
    let tests = tests();
    assert!(tests.len() > 500, "they were looked for: {}", tests.len());
    for (row, proofs) in PROOFS {
        assert!(!proofs.is_empty(), "{row}: nothing proves it");
        for proof in *proofs {
            assert!(tests.contains(*proof), "{row}: there is no test {proof}");
        }
    }
}

/// What `unshare` needs to make a mount namespace: root may, others may as root of users of their own.
fn as_root() -> &'static [&'static str] {
    let is_root = std::fs::read_to_string("/proc/self/status")
        .expect("Linux")
        .lines()
        .any(|line| line.starts_with("Uid:\t0\t"));
    let may = is_root
        && std::process::Command::new("unshare")
            .args(["-m", "true"])
            .status()
            .is_ok_and(|status| status.success());
    if may { &["-m"] } else { &["-rm"] }
}
