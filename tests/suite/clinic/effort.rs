//! What an answer costs the origin and Redis.

use super::table::suggestion;
use super::world::{Call, Clinic, Program};
use crate::redis::{PATIENCE, RedisServer};
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

#[tokio::test]
async fn a_hundred_requests_for_one_cold_key_make_one_request_to_the_origin() {
    let slow = json!({ "GET /api/v1/doctor": 500 }).to_string();
    let clinic = Clinic::start_with(&[("ROUTE_LATENCY", &slow)]).await;
    let redis = RedisServer::start();
    let program = Program::start(&clinic, &redis).await;
    let call = Call::get("/api/v1/doctor?limit=20&sortBy=createdAt&sortOrder=asc");
    let address = program.address;
    let asked: Vec<_> = (0..100)
        .map(|_| {
            let call = call.clone();
            tokio::spawn(async move { call.send(address).await })
        })
        .collect();
    let mut outcomes = Vec::new();
    let mut bodies = Vec::new();
    for asked in asked {
        let got = asked.await.expect("no panic");
        outcomes.push(got.outcome().to_owned());
        bodies.push(got.body);
    }
    assert_eq!(clinic.came("GET /api/v1/doctor").await, 1, "{outcomes:?}");
    let of = |word: &str| outcomes.iter().filter(|outcome| *outcome == word).count();
    assert_eq!(
        (of("miss"), of("collapsed") + of("hit")),
        (1, 99),
        "{outcomes:?}"
    );
    let direct = clinic.answers(&call).await.body;
    assert!(bodies.iter().all(|body| *body == direct));
}

/// What Redis is told, command by command.
struct Monitor<'r> {
    redis: &'r RedisServer,
    lines: BufReader<TcpStream>,
    marks: usize,
}

impl Monitor<'_> {
    fn of(redis: &RedisServer) -> Monitor<'_> {
        let address = redis.url().replace("redis://", "");
        let mut stream = TcpStream::connect(address).expect("redis listens");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a timeout is allowed");
        stream.write_all(b"MONITOR\r\n").expect("redis reads");
        let mut lines = BufReader::new(stream);
        let mut ok = String::new();
        lines.read_line(&mut ok).expect("redis replies");
        assert_eq!(ok, "+OK\r\n");
        Monitor {
            redis,
            lines,
            marks: 0,
        }
    }

    /// The commands sent since the last call, in capitals; those that a script runs were not sent.
    fn commands(&mut self) -> Vec<String> {
        self.marks += 1;
        let mark = format!("mark-{}", self.marks);
        self.redis.say(&format!("ECHO {mark}"));
        let mut commands = Vec::new();
        loop {
            let mut line = String::new();
            self.lines.read_line(&mut line).expect("redis goes on");
            if line.contains(&mark) {
                return commands;
            }
            let command = line.split('"').nth(1).unwrap_or_default().to_uppercase();
            if !line.contains(" lua] ") {
                commands.push(command);
            }
        }
    }
}

/// What happens once in a process or in a namespace, not with each request: the script is loaded,
/// the `Vary` of a rule's answers is learnt.
async fn settle(clinic: &Clinic, programs: [&Program; 2]) {
    let details = format!("/api/v1/doctor/{}", clinic.text("/otherDoctor/id"));
    for program in programs {
        program.until_hit(&Call::get(&details)).await;
        program.until_hit(&suggestion("a knee")).await;
        program
            .until_hit(&Call::get("/api/v1/doctor?limit=2"))
            .await;
    }
}

#[tokio::test]
async fn redis_is_told_one_command_for_a_hit_four_for_a_miss_and_two_for_a_write() {
    let (clinic, redis) = (Clinic::start().await, RedisServer::start());
    let (program, other) = (
        Program::start(&clinic, &redis).await,
        Program::start(&clinic, &redis).await,
    );
    settle(&clinic, [&program, &other]).await;
    let doctor = format!("/api/v1/doctor/{}", clinic.text("/doctor/id"));
    let (read, admin) = (Call::get(&doctor), clinic.text("/admin/token"));
    let write = Call::new("PATCH", &doctor)
        .by(admin)
        .json(json!({ "name": "Dr New" }));
    let unread = Call::get("/api/v1/download?bytes=10");
    program.answers(&write).await; // teaches Redis the scripts
    let steps: [(&str, &Program, &Call, &str, &[&str]); 7] = [
        (
            "miss, first of all",
            &program,
            &read,
            "miss",
            &["MGET", "EVALSHA", "SET", "PEXPIRE"],
        ),
        ("hit", &program, &read, "hit", &["MGET"]),
        ("hit through another", &other, &read, "hit", &["MGET"]),
        ("write", &program, &write, "write", &["EVALSHA", "EVALSHA"]),
        (
            "miss after the write",
            &program,
            &read,
            "miss",
            &["MGET", "EVALSHA", "SET", "PEXPIRE"],
        ),
        (
            "after the write through another",
            &other,
            &read,
            "hit",
            &["MGET", "GET"],
        ),
        ("pass", &program, &unread, "bypass", &[]),
    ];
    let mut monitor = Monitor::of(&redis);
    eprintln!("commands to Redis:");
    for (what, through, call, outcome, commands) in steps {
        let got = through.answers(call).await;
        assert_eq!(got.outcome(), outcome, "{what}: {}", got.cache_status());
        let sent = monitor.commands();
        eprintln!("  {what}: {} ({})", sent.len(), sent.join(" "));
        assert_eq!(sent, commands, "{what}");
    }
}
