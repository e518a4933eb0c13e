//! Asks at a fixed rate, however late the answers are: a request that waits for its turn because the
//! one before it was slow counts from when it was due, as its client would count.

use super::Result;
use clap::Args;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Args)]
pub struct Load {
    port: u16,
    path: String,
    /// Requests a second, over all connections
    #[arg(long, default_value_t = 5000)]
    rate: u32,
    #[arg(long, default_value_t = 32)]
    connections: u32,
    /// For how long answers are counted; a second before that they are not
    #[arg(long, default_value_t = 4)]
    seconds: u64,
}

/// What the connections ask before it counts.
const WARM_UP: Duration = Duration::from_secs(1);

impl Load {
    /// Prints `P50 P99 COUNT`.
    ///
    /// # Errors
    /// An answer that is not 200, or none.
    pub fn run(&self) -> Result<()> {
        let begin = Instant::now();
        let every = Duration::from_secs(1) * self.connections / self.rate;
        let mut took = thread::scope(|scope| {
            let asking: Vec<_> = (0..self.connections)
                .map(|n| begin + every * n / self.connections)
                .map(|first| scope.spawn(move || self.ask(first, every)))
                .collect();
            let of_each = asking.into_iter().map(|one| one.join().expect("no panic"));
            of_each.collect::<Result<Vec<_>>>()
        })?
        .concat();
        took.sort_unstable();
        let at = |share: f64| took[(took.len() as f64 * share) as usize].as_micros();
        println!("{} {} {}", at(0.5), at(0.99), took.len());
        Ok(())
    }

    /// How long each answer took on one connection.
    fn ask(&self, first: Instant, every: Duration) -> Result<Vec<Duration>> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_nodelay(true)?;
        let mut answers = BufReader::new(stream.try_clone()?);
        let request = format!("GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", self.path);
        let counted = first + WARM_UP;
        let end = counted + Duration::from_secs(self.seconds);
        let mut took = Vec::new();
        let mut due = first;
        while due < end {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            stream.write_all(request.as_bytes())?;
            read_answer(&mut answers)?;
            if due >= counted {
                took.push(due.elapsed());
            }
            due += every;
        }
        Ok(took)
    }
}

fn read_answer(from: &mut impl BufRead) -> Result<()> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    if !line.starts_with("HTTP/1.1 200") {
        return Err(format!("answered `{}`", line.trim_end()).into());
    }
    let mut length = 0;
    while line != "\r\n" {
        line.clear();
        from.read_line(&mut line)?;
        if let Some(("content-length", value)) = line.to_ascii_lowercase().split_once(':') {
            length = value.trim().parse()?;
        }
    }
    from.read_exact(&mut vec![0; length])?;
    Ok(())
}
