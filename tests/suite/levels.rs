//! What happens when something fails, as the README's table tells it: each of its rows is held against
//! tests, and the rows that no other part of the suite proves are proven here.

mod disk; // the journal's disk is full
mod files; // no more files can be opened
mod hung; // a sidecar that is stopped
mod names; // names that do not resolve

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The heading that the table stands under.
const HEADING: &str = "### What happens when something fails";

/// Each row by its first cell, and the tests that prove it.
const PROOFS: &[(&str, &[&str])] = &[
    (
        "Redis is down",
        &[
            "a_killed_redis_that_starts_empty_costs_hits_and_nothing_else",
            "a_killed_redis_is_noticed_without_asking_and_one_restarted_empty_serves_nothing_old",
            "a_store_without_redis_opens_answers_down_at_once_and_comes_up_with_it",
            "a_bump_while_redis_is_down_is_owed_and_paid_before_anything_is_read",
            "while_the_store_is_down_a_write_is_refused_where_the_file_says_so",
            "a_server_that_cannot_be_used_is_tried_every_half_second",
            "a_redis_whose_name_is_unknown_is_done_without_until_it_is_known",
        ],
    ),
    (
        "Redis hangs",
        &[
            "a_hung_redis_makes_each_request_wait_once_and_serves_nothing_old_later",
            "a_hung_redis_costs_each_call_one_timeout_and_the_later_ones_nothing",
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
            "a_write_that_redis_refuses_to_lease_still_drops_and_is_counted",
            "a_full_store_is_offered_nothing_for_five_seconds_after_each_refusal",
            "the_log_has_one_line_where_a_limit_begins_and_one_where_it_ends",
        ],
    ),
    (
        "A value is too large for the provider",
        &[
            "a_value_that_is_too_large_is_sent_once_and_kept_by_this_process_alone",
            "large_values_are_tried_again_after_ten_minutes_and_small_ones_are_never_held_back",
            "the_log_has_one_line_where_a_limit_begins_and_one_where_it_ends",
        ],
    ),
    (
        "The provider's quota is spent",
        &[
            "a_spent_quota_costs_no_read_a_round_trip_and_loses_no_write",
            "a_spent_quota_refuses_writes_where_an_outage_does",
            "a_spent_allowance_is_asked_after_every_five_seconds_and_by_who_owes_every_half_second",
            "the_log_has_one_line_where_a_limit_begins_and_one_where_it_ends",
        ],
    ),
    (
        "Redis refuses writes (a replica)",
        &[
            "a_store_that_refuses_writes_is_left_alone_until_it_was_told_of_them",
            "a_primary_that_becomes_a_replica_is_left_at_its_first_refusal_and_owed_what_it_missed",
            "a_replica_is_no_store_whoever_names_it",
            "the_log_has_one_line_where_a_limit_begins_and_one_where_it_ends",
            "a_server_that_cannot_be_used_is_tried_every_half_second",
        ],
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
            "who_trusts_his_redis_believes_what_it_brought_back",
        ],
    ),
    (
        "Redis fails over to a replica",
        &[
            "sentinels_lead_to_the_primary_and_to_the_next_one_when_it_dies_or_steps_down",
            "a_cluster_fails_over_under_traffic_and_nobody_is_served_what_is_old",
            "a_primary_that_becomes_a_replica_is_left_at_its_first_refusal_and_owed_what_it_missed",
            "a_server_that_cannot_be_used_is_tried_every_half_second",
        ],
    ),
    (
        "The provider closes idle connections",
        &[
            "a_connection_that_is_closed_when_idle_costs_no_client_an_error_and_is_made_again",
            "an_idle_connection_gives_a_sign_of_life",
            "a_server_that_cannot_be_used_is_tried_every_half_second",
            "a_redis_whose_name_is_unknown_is_done_without_until_it_is_known",
        ],
    ),
    (
        "The name of Redis does not resolve",
        &["a_redis_whose_name_is_unknown_is_done_without_until_it_is_known"],
    ),
    (
        "The origin is down, or hangs",
        &[
            "it_starts_before_its_origin_and_serves_it_once_it_comes",
            "an_origin_that_is_down_or_slow_is_told_in_short_json",
            "a_stale_answer_stands_in_for_a_gateways_error_and_for_no_answer",
            "a_write_that_was_never_answered_is_taken_for_done",
        ],
    ),
    (
        "The origin breaks off, or answers garbage",
        &[
            "an_answer_that_breaks_off_is_seen_to_and_never_kept",
            "what_is_no_answer_is_told_as_such_and_leaves_no_trace",
            "a_write_whose_answer_breaks_off_drops_now_and_once_more_when_its_lease_ends",
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
        &[
            "a_request_under_way_is_answered_whole_and_no_other_is_taken",
            "a_write_under_way_drops_what_it_names_although_its_client_left",
            "connections_that_ask_nothing_do_not_hold_it_up",
            "what_does_not_end_in_time_is_cut_off_and_said",
            "a_drain_under_load_loses_no_request_and_no_write",
        ],
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
        "The journal cannot be opened at the start",
        &[
            "a_journal_that_cannot_be_opened_ends_it_with_its_path_and_what_to_do",
            "two_sidecars_cannot_have_one_journal",
            "what_cannot_be_a_journal_is_refused_with_path_and_remedy",
        ],
    ),
    (
        "The clock is set",
        &[
            "a_clock_that_is_set_back_lengthens_no_lifetime",
            "an_entry_from_the_future_is_served_only_within_the_skew",
            "an_entry_that_claims_to_come_from_the_future_lives_for_its_ttl_at_most",
            "a_suspension_counts_although_the_monotonic_clock_stood_still",
            "a_clock_that_was_set_back_makes_it_a_drop_for_good",
            "nodes_and_entries_expire_in_redis",
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

/// The names of all functions that are tests, and how many have each.
fn tests() -> BTreeMap<String, usize> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = BTreeMap::new();
    let mut folders: Vec<PathBuf> = ["src", "tests/suite"].map(|name| root.join(name)).into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                for name in tests_of(&std::fs::read_to_string(&path).expect("text")) {
                    *names.entry(name).or_default() += 1;
                }
            }
        }
    }
    names
}

/// Those right above which an attribute says that they are, between which and the function there is nothing
/// but other attributes and comments, and which are not ignored.
fn tests_of(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut is_test, mut is_ignored) = (false, false);
    for line in source.lines().map(str::trim_start) {
        if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            is_ignored |= line.starts_with("#[ignore");
        } else if !line.starts_with("//") {
            let signature = line.strip_prefix("async ").unwrap_or(line);
            if let Some(rest) = signature.strip_prefix("fn ") {
                let name = rest.split(['(', '<']).next().unwrap_or_default();
                names.extend((is_test && !is_ignored).then(|| name.to_owned()));
            }
            (is_test, is_ignored) = (false, false);
        }
    }
    names
}

#[test]
fn only_what_runs_as_a_test_is_taken_for_one() {
    let source = "#[test]\n// why\nfn one() {}\n#[test]\nconst N: u8 = 1;\nfn two() {}\n    #[tokio::test(x)]\n    \
        #[allow(y)]\n    async fn three() {}\n#[test]\n#[ignore]\nfn four() {}\n// #[test]\nfn five() {}";
    assert_eq!(tests_of(source), ["one", "three"]);
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
        let named: BTreeSet<_> = proofs.iter().collect();
        assert_eq!(named.len(), proofs.len(), "{row}: a test is named twice");
        for proof in *proofs {
            let found = tests.get(*proof).copied().unwrap_or_default();
            assert_eq!(found, 1, "{row}: so many tests are called {proof}");
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
