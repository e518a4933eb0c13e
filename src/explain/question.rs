//! A request that nobody has sent: what is asked about.

use crate::rules::table::Table;
use bytes::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Uri};

/// Headers of a question. The proxy itself takes a hundred.
const MAX_HEADERS: usize = 256;

/// A request to be explained.
#[derive(Debug)]
pub struct Question {
    /// The method.
    pub method: Method,
    /// The target in origin-form.
    pub target: Uri,
    /// The headers, with a `Host`.
    pub headers: HeaderMap,
    /// The body, perhaps empty.
    pub body: Bytes,
    /// What was filled in that the question did not say.
    pub assumed: Vec<String>,
}

impl Question {
    /// Reads a question as people write it: a path or a whole URL, headers as pairs. A `Host` is filled in
    /// where there is none, and the type of a body that is JSON.
    ///
    /// # Errors
    /// What cannot be read, for a person.
    pub fn new(
        table: &Table,
        method: &str,
        url: &str,
        headers: &[(String, String)],
        body: Bytes,
    ) -> Result<Question, String> {
        let method = method.to_ascii_uppercase();
        let method = Method::from_bytes(method.as_bytes());
        let method = method.map_err(|_| "the method is not one: write GET, POST, …".to_owned())?;
        let (host, target) = target(url)?;
        let mut question = Question {
            method,
            target,
            headers: read_headers(headers)?,
            body,
            assumed: Vec::new(),
        };
        question.fill_in(table, host);
        Ok(question)
    }

    fn fill_in(&mut self, table: &Table, host: Option<HeaderValue>) {
        if !self.headers.contains_key(header::HOST) {
            let host = host.unwrap_or_else(|| {
                let host = usual_host(table);
                let shown = host.to_str().unwrap_or_default();
                self.assumed.push(format!("Host: {shown}"));
                host
            });
            self.headers.insert(header::HOST, host);
        }
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&self.body).is_ok();
        if is_json && !self.headers.contains_key(header::CONTENT_TYPE) {
            let json = HeaderValue::from_static("application/json");
            self.headers.insert(header::CONTENT_TYPE, json);
            self.assumed.push("Content-Type: application/json".into());
        }
    }
}

/// The first of `[proxy] hosts`, or the origin's own.
fn usual_host(table: &Table) -> HeaderValue {
    let listed = table.proxy.hosts.as_ref().and_then(|hosts| hosts.first());
    let listed = listed.and_then(|host| HeaderValue::from_str(host).ok());
    listed.unwrap_or_else(|| table.proxy.origin.host())
}

fn target(url: &str) -> Result<(Option<HeaderValue>, Uri), String> {
    let url = url.split('#').next().unwrap_or_default();
    let bad =
        |why: &str| format!("the URL cannot be read: {why}; write /path?query or http://host/path");
    if !url.starts_with('/') && !url.contains("://") {
        return Err(bad("it does not begin with a slash"));
    }
    let uri: Uri = url
        .parse()
        .map_err(|error: hyper::http::uri::InvalidUri| bad(&error.to_string()))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri
        .authority()
        .map(|authority| HeaderValue::from_str(authority.as_str()));
    let host = host.transpose().map_err(|_| bad("its host is none"))?;
    let target = path.parse().map_err(|_| bad("its path is none"))?;
    Ok((host, target))
}

fn read_headers(pairs: &[(String, String)]) -> Result<HeaderMap, String> {
    if pairs.len() > MAX_HEADERS {
        return Err(format!(
            "at most {MAX_HEADERS} headers: no server here takes more"
        ));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let named = HeaderName::from_bytes(name.trim().as_bytes());
        let named =
            named.map_err(|_| format!("`{}` is not the name of a header", name.escape_debug()))?;
        // Not shown: it may be a credential.
        let value = HeaderValue::from_str(value.trim());
        let value =
            value.map_err(|_| format!("the value of `{named}` cannot stand in a header"))?;
        headers.append(named, value);
    }
    Ok(headers)
}
