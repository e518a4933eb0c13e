//! What this process lets out about itself beside its answers: logs, panics, core dumps. Keys, tokens
//! and other people's answers stand in its memory, so each is held short.

use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Begins the log, and sees to it that panics and dumps say no more than it.
pub fn begin() {
    start_logging();
    std::panic::set_hook(Box::new(|panic| tracing::error!("{}", told(panic))));
    keep_undumped();
}

fn start_logging() {
    let filter =
        EnvFilter::try_from_env("SIDECACHE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    if std::env::var("SIDECACHE_LOG_FORMAT").is_ok_and(|format| format == "json") {
        let log = builder.json().finish();
        log.with(filter_fn(is_ours_to_say)).init();
    } else {
        builder.finish().with(filter_fn(is_ours_to_say)).init();
    }
}

/// Our own events are known to hold nothing secret or personal. Those of the libraries below us are
/// not, and at the lower levels they tell of what they read and write, and warn at each attempt of what we say
/// once.
fn is_ours_to_say(event: &Metadata<'_>) -> bool {
    let target = event.target();
    let is_ours = target == "sidecache" || target.starts_with("sidecache::");
    is_ours || *event.level() <= Level::ERROR
}

/// What is said of a panic: where it was, which is enough to find it by. Its message may quote what it
/// was about: a slice's, for one, quotes the text that was cut.
fn told(panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map(ToString::to_string);
    let place = place.unwrap_or_else(|| "an unknown place".to_owned());
    format!("this is a bug in sidecache: panicked at {place}; please report it")
}

/// The process is not dumped when it crashes, and others of its user cannot read its memory. Where the
/// system refuses that it runs all the same.
#[cfg(target_os = "linux")]
fn keep_undumped() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let limited = rustix::process::setrlimit(Resource::Core, none);
    let undumpable = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    if let Err(error) = limited.and(undumpable) {
        tracing::warn!(%error, "a core dump of this process would hold what it keeps");
    }
}

#[cfg(not(target_os = "linux"))]
fn keep_undumped() {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn a_panic_is_told_by_its_place_and_not_by_what_it_was_about() {
        let heard: Arc<Mutex<String>> = Arc::default();
        let hook = heard.clone();
        let this_thread = std::thread::current().id();
        let before = Arc::new(std::panic::take_hook());
        let others = before.clone();
        std::panic::set_hook(Box::new(move |panic| {
            match std::thread::current().id() == this_thread {
                true => *hook.lock().expect("not poisoned") = told(panic),
                false => others(panic),
            }
        }));
        let address = String::from("ann.secré@clinic.example");
        let cut = std::panic::catch_unwind(|| address[..9].to_owned());
        std::panic::set_hook(Box::new(move |panic| before(panic)));
        let payload = cut.expect_err("that is inside a character");
        let message = payload.downcast_ref::<String>().expect("a message");
        assert!(message.contains("ann."), "what is withheld: {message}");
        let heard = heard.lock().expect("not poisoned");
        assert!(heard.contains("discreet.rs:"), "{heard}");
        assert!(!heard.contains("ann."), "{heard}");
    }
}
