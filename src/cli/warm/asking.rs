//! One line: asked through the proxy, and what became of it by its `Cache-Status` (RFC 9211).

use super::list::Line;
use crate::body::Body;
use crate::cli::door::Failed;
use crate::origin::{Failure, FailureKind, Origin, Patience};
use crate::rules::settings::OriginAddress;
use http_body_util::BodyExt;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, Uri};
use std::time::Duration;
use tokio::time::timeout;

/// How long the proxy is waited for: it may itself wait for the origin, or for another's fetch.
const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(5),
    answer: Duration::from_secs(300),
    idle: Duration::from_secs(30),
};

/// For all of an answer's body. What is kept is there sooner; a stream of events never ends, however lively.
const WHOLE: Duration = Duration::from_secs(300);

/// Between two pieces of an answer.
const STALL: Duration = Duration::from_secs(60);

/// What is not sent: it would show in the list of processes, and personal answers are no use to warm.
const CREDENTIALS: [HeaderName; 3] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::PROXY_AUTHORIZATION,
];

/// How the original scheme is told.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Asks the proxy.
pub struct Asker {
    proxy: Origin,
    address: OriginAddress,
    /// As whom, where the URLs are not to say.
    host: Option<HeaderValue>,
    headers: HeaderMap,
}

/// What became of a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Became {
    /// It was kept already.
    Hit,
    /// It is now.
    Stored,
    /// It is not, for this reason: the word of `Cache-Status`, where there is one.
    NotKept(String),
    /// The answer does not say.
    Unsaid,
    /// There was no answer, or one that says that something is wrong.
    Failed(String),
}

/// The proxy is not there: no line will be answered.
pub struct Unreachable(pub String);

impl Asker {
    /// Asks this proxy, with these headers in every request, each `NAME: VALUE`.
    ///
    /// # Errors
    /// What cannot be asked so.
    pub fn new(
        address: &OriginAddress,
        host: Option<String>,
        headers: &[String],
    ) -> Result<Asker, Failed> {
        let host = host.map(HeaderValue::try_from).transpose();
        let headers: Result<HeaderMap, Failed> = headers.iter().map(|text| field(text)).collect();
        Ok(Asker {
            proxy: Origin::at(address, PATIENCE).map_err(|error| error.to_string())?,
            address: address.clone(),
            host: host.map_err(|_| "--host is not the name of a host".to_owned())?,
            headers: headers?,
        })
    }

    /// Asks for a line. Where the head of the answer cannot say yet whether it is kept, which hangs on its
    /// body with `store_if`, it is asked for once more.
    ///
    /// # Errors
    /// That nobody is there.
    pub async fn ask(&self, line: &Line) -> Result<Became, Unreachable> {
        match self.once(line).await? {
            Asked::Became(became) => Ok(became),
            Asked::Unclear => Ok(match self.once(line).await? {
                Asked::Became(Became::Hit) => Became::Stored,
                Asked::Became(became) => became,
                Asked::Unclear => Became::NotKept("store-if, too-large or truncated".to_owned()),
            }),
        }
    }

    async fn once(&self, line: &Line) -> Result<Asked, Unreachable> {
        let failed = |why: String| Ok(Asked::Became(Became::Failed(why)));
        let request = match self.request(line) {
            Ok(request) => request,
            Err(error) => return failed(error.to_string()),
        };
        let answer = match self.proxy.ask(request).await {
            Ok(answer) => answer,
            Err(failure) if failure.kind == FailureKind::Connect => {
                return Err(self.unreachable(&failure));
            }
            Err(failure) => return failed(format!("no answer ({})", failure.kind.word())),
        };
        let asked = Asked::by(&answer);
        match read_to_end(answer.into_body()).await {
            Ok(()) => Ok(asked),
            Err(why) => failed(why),
        }
    }

    fn request(&self, line: &Line) -> Result<Request<Body>, hyper::http::Error> {
        let mut request = Request::get(Uri::from(line.target.clone())).body(Body::empty())?;
        let headers = request.headers_mut();
        headers.extend(self.headers.clone());
        let own = line
            .host
            .as_deref()
            .map(HeaderValue::try_from)
            .transpose()?;
        let host = self.host.clone().or(own);
        headers.insert(header::HOST, host.unwrap_or_else(|| self.address.host()));
        if line.is_secure {
            headers.insert(FORWARDED_PROTO, HeaderValue::from_static("https"));
        }
        Ok(request)
    }

    fn unreachable(&self, failure: &Failure) -> Unreachable {
        Unreachable(format!(
            "nothing answers at {} ({failure}): is the sidecar running, and is this its [proxy] listen? \
             --proxy URL names another",
            self.address
        ))
    }
}

fn field(text: &str) -> Result<(HeaderName, HeaderValue), Failed> {
    let wrong = || format!("-H {text:?} is no header: write 'Name: value'");
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let name: HeaderName = name.trim().parse().map_err(|_| wrong())?;
    if CREDENTIALS.contains(&name) {
        return Err(format!(
            "-H {name}: credentials are not sent: what is kept for one person is no use to warm, \
             and others can read the arguments of a process"
        ));
    }
    let value = HeaderValue::try_from(value.trim()).map_err(|_| wrong())?;
    Ok((name, value))
}

async fn read_to_end(body: Body) -> Result<(), String> {
    let read = timeout(WHOLE, read_on(body)).await;
    read.unwrap_or_else(|_| {
        Err(format!(
            "the answer did not end within {} s",
            WHOLE.as_secs()
        ))
    })
}

async fn read_on(mut body: Body) -> Result<(), String> {
    loop {
        match timeout(STALL, body.frame()).await {
            Ok(None) => return Ok(()),
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(_))) => return Err("the answer broke off".to_owned()),
            Err(_) => return Err(format!("nothing came for {} s", STALL.as_secs())),
        }
    }
}

/// What the head of an answer tells.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Became(Became),
    Unclear,
}

impl Asked {
    fn by<B>(answer: &Response<B>) -> Asked {
        let status = answer.status();
        let is_error = status.is_client_error() || status.is_server_error();
        let not_kept = |why: &str| Became::NotKept(why.to_owned());
        let became = match Member::of(answer.headers()) {
            None if is_error => Became::Failed(status.to_string()),
            None => Became::Unsaid,
            Some(own) if own.says("hit") => Became::Hit,
            Some(own) if own.says("stored") || own.says("fwd-status=304") => Became::Stored,
            Some(own) if is_error => Became::Failed(match own.detail() {
                Some(detail) => format!("{status} ({detail})"),
                None => status.to_string(),
            }),
            Some(own) => match own.detail() {
                Some(detail) => not_kept(detail),
                None if own.says("fwd=bypass") => not_kept("no rule"),
                None if own.says("fwd=method") => not_kept("a write, by a set's `on`"),
                None => return Asked::Unclear,
            },
        };
        Asked::Became(became)
    }
}

/// What sidecache says in a `Cache-Status`, beside the caches on the way to it.
struct Member<'m>(&'m str);

impl<'m> Member<'m> {
    fn of(headers: &'m HeaderMap) -> Option<Member<'m>> {
        let lines = headers.get_all("cache-status").iter();
        let lines = lines.filter_map(|line| line.to_str().ok());
        let mut members = lines.flat_map(|line| line.split(',')).map(str::trim);
        let own = members.rfind(|member| member.starts_with("sidecache"));
        own.map(Member)
    }

    fn words(&self) -> impl Iterator<Item = &'m str> {
        self.0.split(';').map(str::trim)
    }

    fn says(&self, word: &str) -> bool {
        self.words().any(|one| one == word)
    }

    fn detail(&self) -> Option<&'m str> {
        self.words().find_map(|word| word.strip_prefix("detail="))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::body::Frame;

    fn by(status: u16, cache_status: &str) -> Asked {
        let answer = Response::builder().status(status);
        let answer = answer.header("cache-status", cache_status);
        Asked::by(&answer.body(()).expect("an answer"))
    }

    #[test]
    fn what_became_of_an_answer_stands_in_its_cache_status() {
        let not_kept = |why: &str| Asked::Became(Became::NotKept(why.to_owned()));
        let failed = |why: &str| Asked::Became(Became::Failed(why.to_owned()));
        let rows = [
            (200, "sidecache; hit; ttl=3", Asked::Became(Became::Hit)),
            (
                404,
                "cdn; fwd=miss, sidecache; hit; ttl=3",
                Asked::Became(Became::Hit),
            ),
            (
                200,
                "sidecache; hit; ttl=-3; detail=stale",
                Asked::Became(Became::Hit),
            ),
            (
                200,
                "sidecache; fwd=miss; stored",
                Asked::Became(Became::Stored),
            ),
            (
                200,
                "sidecache; fwd=stale; fwd-status=304",
                Asked::Became(Became::Stored),
            ),
            (200, "sidecache; fwd=miss", Asked::Unclear),
            (200, "sidecache; fwd=miss; collapsed", Asked::Unclear),
            (
                200,
                "sidecache; fwd=miss; detail=set-cookie",
                not_kept("set-cookie"),
            ),
            (200, "sidecache; fwd=bypass; detail=host", not_kept("host")),
            (200, "sidecache; fwd=bypass", not_kept("no rule")),
            (
                200,
                "sidecache; fwd=method",
                not_kept("a write, by a set's `on`"),
            ),
            (200, "cdn; hit", Asked::Became(Became::Unsaid)),
            (
                404,
                "sidecache; fwd=miss; detail=status",
                failed("404 Not Found (status)"),
            ),
            (502, "", failed("502 Bad Gateway")),
        ];
        for (status, text, became) in rows {
            assert_eq!(by(status, text), became, "{status} {text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_never_ends_is_given_up_however_lively_it_is() {
        let (sender, body) = Body::channel(None);
        let events = async {
            while sender.send(Frame::data("tick\n".into())).await.is_ok() {
                tokio::time::sleep(STALL / 2).await;
            }
        };
        let (told, ()) = tokio::join!(read_to_end(body), events);
        let told = told.expect_err("it never ended");
        assert!(told.contains("did not end within 300 s"), "{told}");
    }

    #[test]
    fn headers_are_sent_and_credentials_are_not() {
        let (name, value) = field("Accept-Encoding: gzip, br").expect("a header");
        assert_eq!(
            (name.as_str(), value.as_bytes()),
            ("accept-encoding", &b"gzip, br"[..])
        );
        for wrong in ["Accept", "a b: c", "Cookie: a=b", "authorization: Bearer x"] {
            assert!(field(wrong).is_err(), "{wrong}");
        }
    }
}
