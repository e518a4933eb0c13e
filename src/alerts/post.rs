//! One attempt to tell a webhook.

use super::alert::Alert;
use super::webhook::Posted;
use crate::body::Body;
use crate::origin::{Origin, Patience};
use crate::rules::settings::Webhook;
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use std::time::Duration;

/// For each step of an attempt. Receivers that answer when they have called somebody take seconds.
const PATIENCE: Duration = Duration::from_secs(10);

const AGENT: &str = concat!("sidecache/", env!("CARGO_PKG_VERSION"));

/// Posts an alert. The status alone counts: nothing of the answer's body is read, and its connection is closed.
/// Nothing that it says of a failure holds the webhook's path.
pub(super) async fn post(webhook: &Webhook, alert: &Alert) -> Posted {
    let of = |why: String| format!("{}: {why}", webhook.shown());
    let server = match Origin::at(&webhook.server, Patience::all(PATIENCE)) {
        Ok(server) => server,
        Err(error) => return Posted::Refused(of(error.to_string())),
    };
    let text = serde_json::to_vec(alert).expect("texts and numbers are JSON");
    let request = Request::post(webhook.target.reveal().as_str())
        .header(HOST, webhook.server.host())
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, AGENT)
        .body(Body::full(Bytes::from(text)));
    let Ok(request) = request else {
        return Posted::Refused(of("its path cannot be asked for".to_owned()));
    };
    match server.ask(request).await {
        Ok(answer) => judged(answer.status(), of),
        Err(failure) => Posted::Failed(of(failure.to_string())),
    }
}

/// What is wrong with a request stays wrong; all else may pass.
fn judged(status: StatusCode, of: impl Fn(String) -> String) -> Posted {
    const TRANSIENT: [StatusCode; 3] = [
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    if status.is_success() {
        return Posted::Taken;
    }
    let why = of(format!("it answers {status}"));
    if status.is_redirection() {
        return Posted::Refused(format!("{why}: write the address that it leads to"));
    }
    match status.is_client_error() && !TRANSIENT.contains(&status) {
        true => Posted::Refused(why),
        false => Posted::Failed(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again_and_nothing_else() {
        let of = |status: u16| judged(StatusCode::from_u16(status).expect("a status"), |why| why);
        for status in [200, 202, 204] {
            assert_eq!(of(status), Posted::Taken);
        }
        for status in [408, 425, 429, 500, 502, 503] {
            assert!(matches!(of(status), Posted::Failed(_)), "{status}");
        }
        for status in [301, 307, 400, 401, 404, 410] {
            assert!(matches!(of(status), Posted::Refused(_)), "{status}");
        }
    }
}
