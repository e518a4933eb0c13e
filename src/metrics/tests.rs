use super::*;
use crate::outcome::Outcome;
use hyper::StatusCode;

#[test]
fn every_metric_has_the_name_that_dashboards_rely_on() {
    let metrics = Metrics::new();
    let rule = metrics.rule("doctors");
    rule.request(Outcome::Hit, Duration::from_micros(200));
    rule.origin_answered(StatusCode::OK, Duration::from_millis(20));
    rule.origin_failed(Duration::from_secs(2));
    metrics.invalidated("doctor-updated");
    metrics.owed(3);
    metrics.store_command(Command::Mget, Duration::from_millis(1));
    metrics.store_failed("timeout");
    metrics.store_up(true);
    metrics.store_state("capacity", true);
    metrics.subscription_wanted(true);
    metrics.subscription_up(true);
    metrics.local(|| (4096, 2));
    metrics.local_evicted();
    rule.collapsed();
    metrics.rules_loaded(1_700_000_000_500);
    metrics.rules_reload_failed(1_700_000_000_250);
    metrics.alerts().watched("doctors", "hit-rate", true);
    metrics.alerts().watched("doctors", "p99", true);
    metrics.alerts().unwatched("doctors", "p99");
    metrics.alerts().told("delivered");
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
        r#"sidecache_store_state{state="capacity"} 1"#,
        "sidecache_subscription_up 1",
        "sidecache_subscription_wanted 1",
        "sidecache_store_duration_seconds_count 1",
        "sidecache_local_bytes 4096",
        "sidecache_local_entries 2",
        "sidecache_local_evictions_total 1",
        "sidecache_fills_in_flight 0",
        r#"sidecache_collapsed_total{rule="doctors"} 1"#,
        "sidecache_rules_loaded_timestamp_seconds 1700000000.5",
        "sidecache_rules_refused_timestamp_seconds 1700000000.25",
        "sidecache_rules_reload_failures_total 1",
        r#"sidecache_alert{rule="doctors",kind="hit-rate"} 1"#,
        r#"sidecache_alert_webhook_total{result="delivered"} 1"#,
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "no line {line} in\n{text}"
        );
    }
}

#[test]
fn what_reloads_leave_behind_is_bounded_and_whoever_is_held_stays() {
    let metrics = Metrics::new();
    let held = metrics.rule("held");
    held.collapsed();
    for number in 0..2000 {
        metrics.rule(&format!("gone-{number}")).collapsed();
    }
    let text = metrics.encode();
    let series = |part: &str| text.lines().filter(|line| line.contains(part)).count();
    assert!(series("rule=\"gone-") <= 257, "{}", series("rule=\"gone-"));
    assert_eq!(series("rule=\"held\""), 1);
    metrics.rule("gone-1999").collapsed();
    let again = "sidecache_collapsed_total{rule=\"gone-1999\"} 2";
    assert!(
        metrics.encode().contains(again),
        "a rule that comes back counts on"
    );
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
fn memory_that_is_not_known_is_not_shown_as_none() {
    let metrics = Metrics::new();
    assert!(!metrics.encode().contains("store_memory_bytes"));
    metrics.store_memory(Some(5));
    let line = "sidecache_store_memory_bytes 5\n";
    assert!(metrics.encode().contains(line));
    metrics.store_memory(None);
    assert!(!metrics.encode().contains("store_memory_bytes"));
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

#[test]
fn counting_allocates_nothing() {
    let metrics = Metrics::new();
    let (rule, took) = (metrics.rule("doctors"), Duration::from_micros(200));
    let count = || {
        rule.request(Outcome::Hit, took);
        rule.origin_answered(StatusCode::OK, took);
        rule.origin_failed(took);
        rule.collapsed();
        metrics.unruled().request(Outcome::Pass, took);
        metrics.store_command(Command::Mget, took);
    };
    count(); // Places are made the first time.
    assert_eq!(allocation_counter::measure(count).count_total, 0);
}

#[test]
fn what_threads_count_apart_is_told_as_one_sum() {
    let metrics = Metrics::new();
    let rule = metrics.rule("doctors");
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| {
                rule.request(Outcome::Miss, Duration::from_millis(250));
                rule.origin_answered(StatusCode::NOT_FOUND, Duration::from_millis(250));
                metrics.store_command(Command::Evalsha, Duration::from_millis(250));
            });
        }
    });
    let text = metrics.encode();
    for line in [
        r#"sidecache_requests_total{rule="doctors",outcome="miss"} 40"#,
        r#"sidecache_request_duration_seconds_sum{rule="doctors",outcome="miss"} 10.0"#,
        r#"sidecache_origin_requests_total{rule="doctors",status="404"} 40"#,
        r#"sidecache_store_commands_total{command="evalsha"} 40"#,
        "sidecache_store_duration_seconds_sum 10.0",
    ] {
        assert!(text.contains(&format!("{line}\n")), "no {line} in\n{text}");
    }
}

#[test]
fn a_rule_keeps_its_counters_as_long_as_its_name_whoever_asks_for_them() {
    let metrics = Metrics::new();
    metrics.rule("doctors").collapsed();
    metrics.rule("doctors").collapsed();
    let line = "sidecache_collapsed_total{rule=\"doctors\"} 2\n";
    assert!(metrics.encode().contains(line));
}

#[test]
fn what_never_happened_is_not_shown() {
    let metrics = Metrics::new();
    metrics
        .rule("doctors")
        .request(Outcome::Hit, Duration::ZERO);
    let text = metrics.encode();
    assert!(!text.contains("miss"), "{text}");
    for name in [
        "origin_requests",
        "origin_duration",
        "collapsed",
        "store_commands",
    ] {
        assert!(
            !text.contains(&format!("sidecache_{name}")),
            "{name} in\n{text}"
        );
    }
}

/// The text that the registry would write, had it kept the numbers itself.
fn kept_by_the_registry(timed: &[u64]) -> String {
    use prometheus_client::metrics::histogram::Histogram;
    type Labels = [(&'static str, &'static str); 2];
    let labels: Labels = [("rule", "doctors"), ("outcome", "hit")];
    let histograms =
        Family::<Labels, Histogram>::new_with_constructor(|| Histogram::new(timings::SECONDS));
    let counters = Family::<Labels, Counter>::default();
    for nanos in timed {
        counters.get_or_create(&labels).inc();
        let seconds = Duration::from_nanos(*nanos).as_secs_f64();
        histograms.get_or_create(&labels).observe(seconds);
    }
    let mut registry = Registry::with_prefix("sidecache");
    let help = "Requests, by what became of them";
    registry.register("requests", help, counters);
    let help = "Until the answer's head";
    registry.register("request_duration_seconds", help, histograms);
    let mut text = String::new();
    text::encode(&mut text, &registry).expect("writing to a String cannot fail");
    text.trim_end_matches("# EOF\n").to_owned()
}

#[test]
fn the_text_is_what_the_registry_would_have_written() {
    let timed = [
        250_000,
        250_001,
        0,
        62_500_000,
        1_000_000_000,
        31_000_000_000,
    ];
    let metrics = Metrics::new();
    let rule = metrics.rule("doctors");
    for nanos in timed {
        rule.request(Outcome::Hit, Duration::from_nanos(nanos));
    }
    let (text, theirs) = (metrics.encode(), kept_by_the_registry(&timed));
    assert!(text.contains(&theirs), "not\n{theirs}\nin\n{text}");
}
