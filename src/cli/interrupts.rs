//! Signals by which a command is told to come to an end.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT and SIGTERM. Where they cannot be received they end the process, as ever.
pub struct Interrupts(Option<(Signal, Signal)>);

impl Interrupts {
    /// Heard of from now on.
    pub fn new() -> Interrupts {
        let both = signal(SignalKind::interrupt()).ok();
        Interrupts(both.zip(signal(SignalKind::terminate()).ok()))
    }

    /// The next one.
    pub async fn next(&mut self) {
        match &mut self.0 {
            None => std::future::pending().await,
            Some((interrupt, terminate)) => {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            }
        }
    }
}
