use super::*;

#[test]
fn every_metric_has_the_name_that_dashboards_rely_on() {
    let metrics = Metrics::new();
    metrics.request("doctors", "hit", 0.000_2);
    metrics.origin_answered("doctors", 200, 0.02);
    metrics.origin_failed("doctors", 2.0);
    metrics.invalidated("doctor-updated");
    metrics.owed(3);
    metrics.store_command("mget", Duration::from_millis(1));
    metrics.store_failed("timeout");
    metrics.store_up(true);
    metrics.subscription_up(true);
    metrics.local(4096, 2);
    metrics.local_evicted();
    metrics.collapsed("doctors");
    metrics.rules_loaded(1_700_000_000_500);
    metrics.rules_reload_failed();
    let text = metrics.encode();
    for line in [
        r#"sidecache_requests_total{rule="doctors",outcome="hit"} 1"#,
        r#"sidecache_request_duration_seconds_count{rule="doctors",outcome="hit"} 1"#,
        r#"sidecache_origin_requests_total{rule="doctors",status="200"} 1"#,
        r#"sidecache_origin_requests_total{rule="doctors",status="error"} 1"#,
        r#"sidecache_origin_duration_seconds_count{rule="doctors"} 2"#,
        r#"sidecache_invalidations_total{set="doctor-updated"} 1"#,
        "sidecache_invalidations_owed 3",
        r#"sidecache_store_commands_total{command="mget"} 1"#,
        r#"sidecache_store_errors_total{kind="timeout"} 1"#,
        "sidecache_store_up 1",
        "sidecache_subscription_up 1",
        "sidecache_store_duration_seconds_count 1",
        "sidecache_local_bytes 4096",
        "sidecache_local_entries 2",
        "sidecache_local_evictions_total 1",
        "sidecache_fills_in_flight 0",
        r#"sidecache_collapsed_total{rule="doctors"} 1"#,
        "sidecache_rules_loaded_timestamp_seconds 1700000000.5",
        "sidecache_rules_reload_failures_total 1",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "no line {line} in\n{text}"
        );
    }
}

#[test]
fn the_process_shows_memory_time_files_and_its_start() {
    let text = Metrics::new().encode();
    let value = |name: &str| -> f64 {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .expect(name)
    };
    assert!(value("process_resident_memory_bytes") > 1e5);
    assert!(value("process_cpu_seconds_total") >= 0.0);
    assert!(value("process_open_fds") >= 3.0);
    assert!(value("process_start_time_seconds") > 1.5e9);
}

#[test]
fn a_fill_counts_as_long_as_its_guard_lives() {
    let metrics = Metrics::new();
    let in_flight = || metrics.encode().contains("sidecache_fills_in_flight 1\n");
    let filling = metrics.fill();
    assert!(in_flight());
    drop(filling);
    assert!(!in_flight());
}

#[test]
fn a_label_value_cannot_break_out_of_its_line() {
    let metrics = Metrics::new();
    metrics.invalidated("a\"\n} 7");
    assert!(
        metrics
            .encode()
            .contains(r#"sidecache_invalidations_total{set="a\"\n} 7"} 1"#)
    );
}
