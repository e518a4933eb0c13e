//! `sidecache stats`: what the rules did, as a table.

use super::door::{Failed, Way, is_heard, run, say};
use super::table;
use serde_json::Value as Json;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

/// How often `--watch` asks. The counters of this process are the present ones; those of the fleet are a
/// few seconds old in any case.
const EVERY: Duration = Duration::from_secs(2);

/// Clears a terminal and goes to its first line (ECMA-48 §8.3.39, §8.3.21).
const CLEARED: &str = "\x1b[2J\x1b[H";

/// `sidecache stats`
#[derive(clap::Args)]
pub struct Args {
    /// Prints what the door answers, as JSON
    #[arg(long)]
    json: bool,
    /// Shows it anew every two seconds, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Shows this process alone, not the fleet
    #[arg(long)]
    process: bool,
    #[command(flatten)]
    way: Way,
}

/// Prints a line for each rule, and what is to be said of the store.
pub fn stats(args: &Args) -> ExitCode {
    run(async || {
        let door = args.way.door()?;
        loop {
            let told = door.get("/api/stats").await?;
            if args.watch && std::io::stdout().is_terminal() {
                print!("{CLEARED}");
            }
            show(args, &told)?;
            if !args.watch || !is_heard() {
                return Ok(ExitCode::SUCCESS);
            }
            tokio::time::sleep(EVERY).await;
        }
    })
}

fn show(args: &Args, told: &Json) -> Result<(), Failed> {
    if args.json {
        say(&match args.watch {
            true => told.to_string(), // one line each
            false => format!("{told:#}"),
        });
        return Ok(());
    }
    let of = if args.process { "process" } else { "fleet" };
    let rules = told["process"]["rules"].as_object();
    let rules =
        rules.ok_or("the door's answer has no statistics: is it one of another release?")?;
    let rows = rules.iter().map(|(name, own)| {
        let counted = &told[of]["rules"][name];
        (
            row(name, if counted.is_null() { own } else { counted }, own),
            notes(own, counted),
        )
    });
    table::print(HEAD, rows.collect());
    say("");
    alerts(told).iter().for_each(|line| say(line));
    summary(told, of).iter().for_each(|line| say(line));
    Ok(())
}

const HEAD: [&str; 12] = [
    "RULE",
    "REQUESTS",
    "HITS",
    "RATE",
    "HOUR (here)",
    "BYPASS",
    "HIT p50",
    "p99",
    "ORIGIN p50",
    "p95",
    "SPARED",
    "SAVED",
];

/// `counted` is of whom is asked for, `own` of the process.
fn row(name: &str, counted: &Json, own: &Json) -> [String; 12] {
    let count = |key: &str| counted[key].as_u64().unwrap_or(0).to_string();
    let time = |of: &str, share: &str| seconds(counted[of][share].as_f64());
    [
        name.to_owned(),
        count("requests"),
        count("hits"),
        percent(counted["hit_rate"].as_f64()),
        percent(own["hit_rate_hour"].as_f64()),
        count("bypass"),
        time("hit_seconds", "p50"),
        time("hit_seconds", "p99"),
        time("origin_seconds", "p50"),
        time("origin_seconds", "p95"),
        count("spared"),
        span(counted["seconds_saved"].as_f64().unwrap_or(0.0)),
    ]
}

/// What a table has no column for, and somebody should see. What was compared is known of this process alone.
fn notes(own: &Json, counted: &Json) -> Vec<String> {
    let held = own["quarantined"].as_bool() == Some(true);
    let held =
        held.then(|| "in quarantine: it passes everything; see `sidecache audit`".to_owned());
    let observed = (own["stage"].as_str() == Some("observe")).then(|| {
        let counted = if counted.is_null() { own } else { counted };
        let [hits, misses] =
            ["would_hit", "would_miss"].map(|key| counted[key].as_u64().unwrap_or(0));
        let [same, differs] =
            ["same", "differs"].map(|key| own["observed"][key].as_u64().unwrap_or(0));
        let compared = match (same, differs) {
            (0, 0) => String::new(),
            (same, 0) => format!("; all {same} compared here were what the origin answered"),
            (same, differs) => {
                let all = same + differs;
                format!("; {differs} of {all} compared here were not what the origin answered")
            }
        };
        format!("observed: {hits} would have been hits, {misses} misses{compared}")
    });
    let off = own["stage"].as_str() == Some("off");
    let off = off.then(|| "off: as if it were not written".to_owned());
    held.into_iter().chain(observed).chain(off).collect()
}

fn summary(told: &Json, of: &str) -> Vec<String> {
    let (process, fleet) = (&told["process"], &told["fleet"]);
    let total = &told[of]["total"];
    let whose = match (
        of,
        fleet["only_this_process"].as_bool(),
        fleet["processes"].as_u64(),
    ) {
        ("process", _, _) => "this process".to_owned(),
        (_, Some(true), _) => "this process: the fleet cannot be heard".to_owned(),
        (_, _, Some(1)) => "one process now, and those before it".to_owned(),
        (_, _, count) => format!(
            "{} processes now, and those before them",
            count.unwrap_or(0)
        ),
    };
    let store = &process["store"];
    let number = |key: &str| store[key].as_u64().unwrap_or(0);
    let errors = store["errors"].as_object().into_iter().flatten();
    let errors: Vec<String> = errors
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    let memory = match (
        store["memory_bytes"].as_u64(),
        store["memory_max_bytes"].as_u64(),
    ) {
        (Some(used), Some(max)) => format!(", {} of {}", size(used), size(max)),
        (Some(used), None) => format!(", {}", size(used)),
        (None, _) => String::new(),
    };
    let state = store["state"].as_str().unwrap_or("?");
    let kind = store["kind"].as_str().unwrap_or("?");
    let mut lines = vec![
        format!(
            "{whose}: hit rate {}, {} requests spared the origin, {} saved",
            percent(total["hit_rate"].as_f64()),
            total["spared"].as_u64().unwrap_or(0),
            span(total["seconds_saved"].as_f64().unwrap_or(0.0)),
        ),
        format!(
            "store: {kind} {state}{memory}; {} commands sent today, {} by its end (UTC; a script is one)",
            number("commands_today"),
            number("commands_forecast"),
        ),
    ];
    lines.extend(budget(&store["budget"]));
    let of_fleet = |key: &str| (of == "fleet").then(|| fleet[key].as_u64()).flatten();
    if let Some(count) = of_fleet("rules_not_told").filter(|count| *count > 0) {
        let sums = "that processes had no room for stand in these sums only";
        lines.push(format!("rules: {count} or more {sums}"));
    }
    if let Some(count) = of_fleet("unread").filter(|count| *count > 0) {
        let whose = "other processes cannot be read: another release's, or sealed with another key";
        lines.push(format!("fleet: {count} words of {whose}"));
    }
    if number("owed") > 0 {
        lines.push(format!(
            "owed: {} drops that the store could not be told of",
            number("owed")
        ));
    }
    if !errors.is_empty() {
        lines.push(format!("store errors: {}", errors.join(", ")));
    }
    lines
}

/// How far the store may be asked, if it has a budget.
fn budget(told: &Json) -> Option<String> {
    let number = |key: &str| told[key].as_u64();
    Some(format!(
        "budget: {} of {} commands spent this {}, {} by its end; level {}",
        number("used")?,
        number("commands")?,
        told["per"].as_str()?,
        number("forecast")?,
        told["level"].as_str()?,
    ))
}

/// What somebody should look at now, as this process sees it.
fn alerts(told: &Json) -> Vec<String> {
    let all = told["process"]["alerts"].as_array().into_iter().flatten();
    let shown = all.map(|alert| {
        let word = |key: &str| alert[key].as_str().unwrap_or("-");
        let of = |key: &str| alert[key].as_f64();
        let of_rule = match word("rule") {
            "-" => String::new(),
            rule => format!(" of {rule}"),
        };
        let how = match word("kind") {
            "hit-rate" => format!(
                ": {}, below {}",
                percent(of("value")),
                percent(of("threshold"))
            ),
            "p99" => {
                let time = |key| seconds(of(key).map(|time| time / 1000.0));
                format!(": {}, above {}", time("value"), time("threshold"))
            }
            _ => String::new(),
        };
        let over = alert["window"].as_str();
        let over = over.map_or_else(String::new, |window| format!(", over {window}"));
        format!("ALERT {}{of_rule}{how}{over}", word("kind"))
    });
    shown.collect()
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

/// A short time.
fn seconds(time: Option<f64>) -> String {
    match time {
        None => "-".to_owned(),
        Some(time) if time < 0.001 => format!("{:.0} µs", time * 1e6),
        Some(time) if time < 1.0 => format!("{:.1} ms", time * 1e3),
        Some(time) => format!("{time:.1} s"),
    }
}

/// A long time.
fn span(seconds: f64) -> String {
    match seconds {
        short if short < 120.0 => format!("{short:.0} s"),
        some if some < 7200.0 => format!("{:.0} min", some / 60.0),
        long => format!("{:.0} h", long / 3600.0),
    }
}

fn size(bytes: u64) -> String {
    const MIB: f64 = (1 << 20) as f64;
    format!("{:.1} MiB", bytes as f64 / MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_told_where_there_is_one() {
        let told = serde_json::json!({
            "commands": 10_000, "per": "day", "used": 3_881, "forecast": 9_120, "level": "sparing",
        });
        let line = "budget: 3881 of 10000 commands spent this day, 9120 by its end; level sparing";
        assert_eq!(budget(&told).as_deref(), Some(line));
        assert_eq!(budget(&Json::Null), None);
    }
    use serde_json::json;

    #[test]
    fn numbers_are_written_as_people_read_them() {
        assert_eq!(
            (percent(Some(0.8765)).as_str(), percent(None).as_str()),
            ("87.6 %", "-")
        );
        let times = [(0.00025, "250 µs"), (0.0123, "12.3 ms"), (2.0, "2.0 s")];
        for (time, text) in times {
            assert_eq!(seconds(Some(time)), text);
        }
        let spans = [(9.4, "9 s"), (180.0, "3 min"), (36_000.0, "10 h")];
        for (time, text) in spans {
            assert_eq!(span(time), text);
        }
        assert_eq!(size(3 << 20), "3.0 MiB");
    }

    #[test]
    fn alerts_stand_in_lines_of_their_own() {
        let told = json!({"process": {"alerts": [
            {"rule": "list", "kind": "hit-rate", "value": 0.312, "threshold": 0.5, "window": "10m"},
            {"rule": "list", "kind": "p99", "value": 140.5, "threshold": 100, "window": "10m"},
            {"rule": "-", "kind": "store-down", "value": 40, "threshold": 30, "window": null},
        ]}});
        let wanted = [
            "ALERT hit-rate of list: 31.2 %, below 50.0 %, over 10m",
            "ALERT p99 of list: 140.5 ms, above 100.0 ms, over 10m",
            "ALERT store-down",
        ];
        assert_eq!(alerts(&told), wanted);
        assert_eq!(alerts(&json!({})), Vec::<String>::new());
    }

    #[test]
    fn what_the_fleet_had_no_room_for_is_said() {
        let told =
            json!({"fleet": {"rules_not_told": 800, "unread": 2, "processes": 3, "total": {}}});
        let lines = summary(&told, "fleet");
        assert!(
            lines.iter().any(|line| line.contains("800 or more")),
            "{lines:?}"
        );
        assert!(
            lines.iter().any(|line| line.contains("2 words of other")),
            "{lines:?}"
        );
        assert!(lines[1].contains("commands sent today"), "{lines:?}");
        assert_eq!(summary(&told, "process").len(), 2, "nothing of the fleet's");
    }

    #[test]
    fn what_somebody_should_see_stands_below_its_rule() {
        assert_eq!(
            notes(&json!({"stage": "on", "quarantined": false}), &Json::Null),
            Vec::<String>::new()
        );
        let held = notes(&json!({"stage": "on", "quarantined": true}), &Json::Null);
        assert!(held[0].contains("quarantine"), "{held:?}");
        let own = json!({"stage": "observe", "would_hit": 1, "would_miss": 0});
        let observed = notes(&own, &json!({"would_hit": 3, "would_miss": 1}));
        assert!(
            observed[0].contains("3 would have been hits, 1 misses"),
            "{observed:?}"
        );
        let compared = |same: u64, differs: u64| {
            let held = json!({"same": same, "differs": differs});
            notes(&json!({"stage": "observe", "observed": held}), &Json::Null).remove(0)
        };
        assert!(compared(4, 0).ends_with("all 4 compared here were what the origin answered"));
        assert!(compared(4, 1).ends_with("1 of 5 compared here were not what the origin answered"));
    }
}
