//! `sidecache inspect KEY`: what is kept under a key, and what that is worth.

use super::door::{Failed, Way, complain, run, say, text_only};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// `sidecache inspect`
#[derive(clap::Args)]
pub struct Args {
    /// The key without the namespace, as in the store: doctors:details:42, or a variant of it,
    /// doctors:details:42#91c1…
    #[arg(value_name = "KEY")]
    key: String,
    /// Prints the body too, after everything else
    #[arg(long)]
    body: bool,
    /// Prints what the door answers, as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    way: Way,
}

/// Prints what is kept. Status 1 where nothing is.
pub fn inspect(args: &Args) -> ExitCode {
    run(async || {
        let door = args.way.door()?;
        let wanted = json!({ "key": args.key, "body": args.body });
        let (_, told) = door.post("/api/inspect", &wanted).await?;
        let kept = &told["kept"];
        if args.json {
            say(&format!("{told:#}"));
        } else if !kept.is_null() {
            lines(kept).iter().for_each(|line| say(line));
            if args.body {
                print_body(kept)?;
            }
        }
        if kept.is_null() {
            complain(&nothing(&told));
            return Ok(ExitCode::FAILURE);
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn nothing(told: &Json) -> String {
    let rules = told["rules"].as_array().into_iter().flatten();
    let rules: Vec<&str> = rules.filter_map(Json::as_str).collect();
    format!(
        "nothing is kept under this key, which is one of `{}`. Answers that vary (by a header, or by Host \
         where [proxy] hosts is left out) have variants of it, KEY#DIGEST: \
         `sidecache explain GET /path -H 'Host: …'` tells the whole key",
        rules.join("`, `")
    )
}

/// Everything but the body.
fn lines(kept: &Json) -> Vec<String> {
    let text = |name: &str| kept[name].as_str().unwrap_or("-").to_owned();
    let number = |name: &str| kept[name].as_u64().unwrap_or_default();
    let stale = &kept["stale"];
    let mut lines = vec![
        format!("rule      {}", text("rule")),
        format!("state     {}", meaning(&text("state"))),
        format!("variant   {}", variant(kept)),
        format!(
            "kept at   {}, age {} s",
            date(number("kept_at_ms")),
            number("age_s")
        ),
        format!("ttl       {} s, {}", number("ttl_s"), left(kept)),
        format!("stale     {}", windows(stale)),
        format!("took      {} ms at the origin", number("took_ms")),
        format!("size      {}", size(kept)),
    ];
    let notes = kept["notes"].as_array().into_iter().flatten();
    let notes = notes.filter_map(Json::as_str);
    lines.extend(notes.map(|note| format!("but       {note}")));
    let nodes = kept["nodes"].as_array().into_iter().flatten();
    lines.extend(nodes.map(|node| {
        let part = |name: &str| node[name].as_str().unwrap_or("-").to_owned();
        format!("node      {}  {}", part("name"), part("state"))
    }));
    let part = match kept["is_part"] == true {
        true => " (a part of an answer)",
        false => "",
    };
    lines.push(format!("status    {}{part}", number("status")));
    let headers = kept["headers"].as_array().into_iter().flatten();
    lines.extend(headers.map(|header| {
        let part = |at: usize| header[at].as_str().unwrap_or_default().to_owned();
        format!("header    {}: {}", part(0), part(1))
    }));
    lines
}

/// What a state means for the next request.
fn meaning(state: &str) -> String {
    let meaning = match state {
        "fresh" => {
            "the next request that has this key here and takes a kept answer is answered from it"
        }
        "stale" => "its time is over: it is validated, or served within its stale windows",
        "softly-dropped" => "served while it is fetched anew",
        "dropped" => "a write or purge has dropped it, or its node was evicted: it is a miss",
        "expired" => "its time is over, stale windows too: it is a miss",
        "other-rules" => {
            "kept under other rules, or another Vary, than are known here now: it is a miss"
        }
        "from-the-future" => "kept by a clock that is ahead of this one: it is a miss",
        _ => "",
    };
    format!("{state}: {meaning}")
}

fn variant(kept: &Json) -> String {
    let names = kept["vary"].as_array().into_iter().flatten();
    let names: Vec<&str> = names.filter_map(Json::as_str).collect();
    let which = kept["variant"].as_str().unwrap_or("plain");
    match names.is_empty() {
        true => which.to_owned(),
        false => format!("{which}; varies by {}", names.join(", ")),
    }
}

fn left(kept: &Json) -> String {
    match kept["ttl_left_s"].as_i64().unwrap_or_default() {
        left @ 0.. => format!("{left} s left"),
        over => format!("over for {} s", over.unsigned_abs()),
    }
}

fn windows(stale: &Json) -> String {
    let seconds = |name: &str| stale[name].as_u64().unwrap_or_default();
    if stale["allowed"] != true {
        return format!(
            "never served stale; kept {} s to be validated",
            seconds("kept_s")
        );
    }
    format!(
        "while revalidated {} s, if the origin fails {} s, kept {} s",
        seconds("while_revalidate_s"),
        seconds("if_error_s"),
        seconds("kept_s")
    )
}

fn size(kept: &Json) -> String {
    let number = |name: &str| kept[name].as_u64().unwrap_or_default();
    let how = match kept["compressed"] == true {
        true => "compressed",
        false => "not compressed",
    };
    let (stored, body) = (number("stored_bytes"), number("body_bytes"));
    format!("{stored} bytes in the store, {how}; body {body} bytes")
}

fn date(unix_ms: u64) -> String {
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(unix_ms));
    // It prints four digits of a year.
    let at = at.filter(|_| unix_ms < 253_402_300_800_000);
    at.map_or_else(|| unix_ms.to_string(), httpdate::fmt_http_date)
}

/// Byte for byte, as it was kept; to a terminal as text, since anybody may have written what stands in it.
fn print_body(kept: &Json) -> Result<(), Failed> {
    let bytes = match (kept["body"].as_str(), kept["body_base64"].as_str()) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(coded)) => STANDARD
            .decode(coded)
            .map_err(|error| format!("the body cannot be read: {error}"))?,
        (None, None) => return Ok(()),
    };
    let mut out = std::io::stdout();
    let bytes = match out.is_terminal() {
        true => text_only(&String::from_utf8_lossy(&bytes)).into_bytes(),
        false => bytes,
    };
    let _ = writeln!(out).and_then(|()| out.write_all(&bytes));
    let _ = out.flush();
    Ok(())
}
