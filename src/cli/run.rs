//! `sidecache [run]`: the proxy, until it is told to stop.

use super::discreet;
use crate::rules::settings::StoreUrl;
use crate::server::Server;
use std::path::Path;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::task::AbortOnDropHandle;

/// Runs until SIGTERM or SIGINT; SIGHUP or a changed file reloads the rules. Status 0 after a drain,
/// whether or not it had to cut something off.
pub fn run(rules: &Path) -> ExitCode {
    discreet::begin();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sidecache: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(serve(rules));
    // What hangs at a disk by now is nothing that anybody waits for: all work was drained.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sidecache: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(rules: &Path) -> Result<(), String> {
    let no_signals = |error: std::io::Error| format!("signals cannot be received: {error}");
    let mut hangup = signal(SignalKind::hangup()).map_err(no_signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let server = Server::start(rules).await?;
    println!("{}", introduction(&server));
    let reloader = server.reloader();
    let watch = AbortOnDropHandle::new(tokio::spawn(reloader.clone().watch()));
    let reloader = reloader.clone();
    // Beside the rest: a disk that hangs is not to keep this from being ended.
    let hangups = AbortOnDropHandle::new(tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let _ = reloader.reload_aside().await; // it has logged what came of it
        }
    }));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    drop((watch, hangups));
    tracing::info!("draining");
    if !server.drain().await {
        tracing::warn!("drain_timeout is over: what was not finished is cut off");
    }
    Ok(())
}

/// What it listens on and what it fronts.
fn introduction(server: &Server) -> String {
    let live = server.live();
    let table = &live.table;
    let origin = &table.proxy.origin;
    let store = match &table.store.url {
        StoreUrl::Memory => "this process's memory",
        StoreUrl::Redis(_) => "Redis",
    };
    let admin = server.admin().map_or(
        "none, there is no [admin] table".to_owned(),
        ToString::to_string,
    );
    format!(
        "sidecache {} listens on {} before {origin}\n  {}; answers are kept in {store}\n  admin door: {admin}",
        env!("CARGO_PKG_VERSION"),
        server.proxy(),
        table.holds(),
    )
}
