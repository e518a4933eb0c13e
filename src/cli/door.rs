//! The client to the admin door of a running sidecar, as all commands use it that talk to one.
//!
//! The token comes from the environment or the rules file, never from an argument: whoever may list
//! processes reads those. What a door answers is shown to a person at a terminal, which is told nothing but
//! text.

use super::discreet;
use crate::body::{Body, Read, read_in_time};
use crate::origin::{FailureKind, Origin, Patience};
use crate::rules::disk;
use crate::rules::file::MAX_FILE;
use crate::rules::places::Places;
use crate::rules::settings::{Listen, OriginAddress};
use crate::secret::Secret;
use crate::server::unread;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::Value as Json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use zeroize::Zeroizing;

/// For a connection, and for the head of an answer. A reload of a large file takes a tenth of a second; who
/// asks for a container's health is told to be quicker than ten times this.
const PATIENCE: Duration = Duration::from_secs(5);

/// For the rest of an answer.
const BODY_PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of an answer: the largest body that is kept, as JSON spells it at its worst.
const MAX_ANSWER: usize = 6 * (64 << 20) + (1 << 20);

/// The variable that the token is in.
const TOKEN: &str = "SIDECACHE_ADMIN_TOKEN";

/// The variable that names the rules file.
const RULES: &str = "SIDECACHE_RULES";

/// Where a command finds the door.
#[derive(clap::Args)]
pub struct Way {
    /// The admin door: http://127.0.0.1:9090, https://host or unix:/path
    ///
    /// Left out: `[admin] listen` of the rules file. The token is read from SIDECACHE_ADMIN_TOKEN; where that
    /// is not set, from the rules file, for the very door that the file names. Over http:// nothing but loopback
    /// is spoken to.
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// The rules file of the sidecar
    #[arg(
        long,
        value_name = "FILE",
        env = RULES,
        default_value = super::rules::USUAL,
        value_parser = super::rules::file()
    )]
    rules: PathBuf,
}

/// An admin door.
pub struct Door {
    address: OriginAddress,
    origin: Origin,
    token: Option<Secret<String>>,
}

/// What went wrong, and what to do about it.
pub type Failed = String;

/// Runs a command that asks a door, and says what went wrong.
pub fn run<F>(command: impl FnOnce() -> F) -> ExitCode
where
    F: Future<Output = Result<ExitCode, Failed>>,
{
    discreet::begin();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(command()),
        Err(error) => Err(format!("no runtime: {error}")),
    };
    ended.unwrap_or_else(|failed| {
        complain(&format!("sidecache: {}", failed.trim_end()));
        ExitCode::FAILURE
    })
}

/// Nobody reads any more what the command prints.
static UNHEARD: AtomicBool = AtomicBool::new(false);

/// A line for whoever reads what the command prints; nobody has to.
pub fn say(line: &str) {
    if writeln!(std::io::stdout(), "{}", text_only(line)).is_err() {
        UNHEARD.store(true, Relaxed);
    }
}

/// Whether somebody may still read what is said: not where the reader of a pipe has gone.
pub fn is_heard() -> bool {
    !UNHEARD.load(Relaxed)
}

/// A line about what did not go well.
pub fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", text_only(line));
}

/// Without what a terminal would take for an order to it, or would show other text than it is: the marks that
/// turn the direction of writing (Unicode Annex 9).
pub fn text_only(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_text = |c: &char| !c.is_control() && !turns(*c) || matches!(c, '\n' | '\t');
    text.chars().filter(is_text).collect()
}

impl Way {
    /// By these options; without `rules`, the file that is usual.
    pub fn to(admin: Option<String>, rules: Option<PathBuf>) -> Way {
        let set = || std::env::var_os(RULES).filter(|name| !name.is_empty());
        let rules = rules.or_else(|| set().map(PathBuf::from));
        Way {
            admin,
            rules: rules.unwrap_or_else(|| PathBuf::from(super::rules::USUAL)),
        }
    }

    /// The door, with its token.
    ///
    /// # Errors
    /// Why there is none, or why it is not spoken to.
    pub fn door(&self) -> Result<Door, Failed> {
        let address = self.address()?;
        let token = match set_token() {
            None if self.is_own(&address) => self.written_token()?,
            set => set,
        };
        Door::new(address, token)
    }

    /// The door, for what it tells everybody, at each address that it may be reached by, of which there is one
    /// at least. Of the rules file nothing counts but where it is, so that no secret has to be set.
    ///
    /// # Errors
    /// As above.
    pub fn open_doors(&self) -> Result<Vec<Door>, Failed> {
        let addresses = match &self.admin {
            Some(_) => vec![self.address()?],
            None => self.written_addresses()?,
        };
        let doors = addresses
            .into_iter()
            .map(|address| Door::new(address, None));
        doors.collect()
    }

    /// Whether this is the door of the rules file, whose token nobody else is to be sent: whoever listens at
    /// another address would have it.
    fn is_own(&self, address: &OriginAddress) -> bool {
        let is_own = |own: Vec<OriginAddress>| own.contains(address);
        self.admin.is_none() || self.written_addresses().is_ok_and(is_own)
    }

    fn address(&self) -> Result<OriginAddress, Failed> {
        let Some(url) = &self.admin else {
            return self.written_addresses().map(|mut all| all.swap_remove(0));
        };
        OriginAddress::parse(url.trim_end_matches('/')).ok_or_else(|| {
            "--admin is not the address of a door: write http://127.0.0.1:9090, https://host or unix:/path"
                .to_owned()
        })
    }

    /// One at least.
    fn written_addresses(&self) -> Result<Vec<OriginAddress>, Failed> {
        let rules = self.rules.display();
        let listen = places(&self.rules, |places| places.admin())?;
        let Some(listen) = listen else {
            return Err(format!(
                "{rules} has no [admin] table, so its sidecar has no admin door: add one, \
                 or name another door with --admin URL"
            ));
        };
        named_port(&listen, "--admin")?;
        Ok(listen.ways_from_here())
    }

    fn written_token(&self) -> Result<Option<Secret<String>>, Failed> {
        places(&self.rules, |places| places.token())
            .map_err(|error| format!("{error}{TOKEN} with the door's token does as well"))
    }
}

/// Reads something of a rules file.
///
/// # Errors
/// That it cannot be read, or what is wrong with what was wanted.
pub fn places<T>(
    rules: &Path,
    take: impl FnOnce(&Places<'_>) -> Result<T, String>,
) -> Result<T, Failed> {
    let text = disk::read(rules, MAX_FILE).map_err(|error| unread(rules, &error))?;
    let text = Zeroizing::new(String::from_utf8_lossy(&text).into_owned());
    let env = |name: &str| std::env::var(name).ok();
    take(&Places::of(&rules.display().to_string(), &text, &env))
}

/// # Errors
/// That nobody can tell beforehand where this listens.
pub fn named_port(listen: &Listen, option: &str) -> Result<(), Failed> {
    match listen.is_any_port() {
        true => Err(format!(
            "the rules file leaves the port to the system: the introduction of the running sidecar \
             says which it is; name it with {option} http://127.0.0.1:PORT"
        )),
        false => Ok(()),
    }
}

fn set_token() -> Option<Secret<String>> {
    let token = std::env::var(TOKEN).ok()?;
    (!token.is_empty()).then(|| Secret::new(token))
}

impl Door {
    fn new(address: OriginAddress, token: Option<Secret<String>>) -> Result<Door, Failed> {
        if address.is_overheard() {
            return Err(format!(
                "{address} is no address of loopback, and over http:// anybody between could read the token \
                 and what is kept: use https://, or a tunnel (ssh -L 9090:127.0.0.1:9090 HOST)"
            ));
        }
        let origin = Origin::at(&address, Patience::all(PATIENCE));
        Ok(Door {
            origin: origin.map_err(|error| error.to_string())?,
            address,
            token,
        })
    }

    /// Where it is.
    pub fn address(&self) -> &OriginAddress {
        &self.address
    }

    /// What the door tells everybody, with its status.
    ///
    /// # Errors
    /// What kept it from being asked or understood.
    pub async fn tell(&self, path: &str) -> Result<(StatusCode, Json), Failed> {
        self.ask(Method::GET, path, Body::empty()).await
    }

    /// What the door tells who has its token.
    ///
    /// # Errors
    /// What kept it from being told.
    pub async fn get(&self, path: &str) -> Result<Json, Failed> {
        let (status, told) = self.ask(Method::GET, path, Body::empty()).await?;
        self.accepted(status, told).map(|(_, told)| told)
    }

    /// Has the door do something; with the status, which is a success.
    ///
    /// # Errors
    /// What kept it from being done.
    pub async fn post(&self, path: &str, wanted: &Json) -> Result<(StatusCode, Json), Failed> {
        let body = Body::full(wanted.to_string().into());
        let (status, told) = self.ask(Method::POST, path, body).await?;
        self.accepted(status, told)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<(StatusCode, Json), Failed> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.host())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(token) = &self.token {
            let bearer = Zeroizing::new(format!("Bearer {}", token.reveal()));
            let mut bearer = HeaderValue::try_from(bearer.as_str())
                .map_err(|_| "the token has characters that no header can carry".to_owned())?;
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        let request = request.body(body).map_err(|error| error.to_string())?;
        let answer = self.origin.ask(request).await;
        let answer = answer.map_err(|failure| self.unreached(failure.kind, &failure))?;
        self.understood(answer).await
    }

    fn unreached(&self, kind: FailureKind, error: &dyn std::error::Error) -> Failed {
        let address = &self.address;
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        match kind {
            FailureKind::Connect => format!(
                "nothing answers at {address} ({cause}): is the sidecar running, and is this its door? \
                 --rules FILE or --admin URL name another"
            ),
            FailureKind::Timeout => {
                format!("{address} does not answer within {} s", PATIENCE.as_secs())
            }
            _ => format!("what listens at {address} does not speak as an admin door does: {cause}"),
        }
    }

    async fn understood(&self, answer: Response<Body>) -> Result<(StatusCode, Json), Failed> {
        let address = &self.address;
        let status = answer.status();
        let wait = answer.headers().get(RETRY_AFTER);
        let wait = wait.and_then(|wait| wait.to_str().ok()).map(str::to_owned);
        if status == StatusCode::TOO_MANY_REQUESTS {
            let wait = wait.unwrap_or_else(|| "some".to_owned());
            return Err(format!(
                "{address} has been sent too many wrong tokens from here, and this one is wrong as well: \
                 set {TOKEN} to that of [admin] token; wrong ones are told so again in {wait} s"
            ));
        }
        let bytes = match read_in_time(answer.into_body(), MAX_ANSWER, BODY_PATIENCE).await {
            Read::Whole(bytes) => bytes,
            Read::Longer(_) => return Err(format!("the answer of {address} takes too long")),
            Read::Broken(error) => {
                return Err(format!("the answer of {address} broke off: {error}"));
            }
        };
        match serde_json::from_slice(&bytes) {
            Ok(told @ Json::Object(_)) => Ok((status, told)),
            _ => Err(format!(
                "what listens at {address} is no admin door: it answers {status} with something else \
                 than JSON. [admin] listen says where the door is"
            )),
        }
    }

    /// Turns what is no success into what to do about it.
    fn accepted(&self, status: StatusCode, told: Json) -> Result<(StatusCode, Json), Failed> {
        if status.is_success() {
            return Ok((status, told));
        }
        let address = &self.address;
        let Some(why) = told["error"].as_str() else {
            return Err(format!(
                "what listens at {address} answers as no admin door does, {status} without a reason: is it a sidecar \
                 of this release? [admin] listen says where the door is"
            ));
        };
        Err(match (status, &self.token) {
            (StatusCode::UNAUTHORIZED, None) => {
                format!(
                    "the door at {address} wants its token: set {TOKEN} to that of [admin] token \
                     (that of a rules file is sent to the [admin] listen of the file only)"
                )
            }
            (StatusCode::UNAUTHORIZED, Some(_)) => format!(
                "the door at {address} has another token than {TOKEN} or the rules file say"
            ),
            (StatusCode::NOT_FOUND, _) => {
                format!("{address}: {why}: is it the admin door of a sidecar of this release?")
            }
            _ => format!("{address}: {why}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_orders_a_terminal_nothing_and_reads_as_it_is_written() {
        let written = "a\x1b]0;title\x07\u{9b}2J\tb\r\n\u{202e}drow\u{2066}\u{200f} שלום é";
        assert_eq!(text_only(written), "a]0;title2J\tb\ndrow שלום é");
    }

    #[test]
    fn the_token_of_a_file_is_for_the_door_of_the_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let rules = directory.path().join("rules.toml");
        let is_own = |listen: &str, admin: Option<&str>| {
            std::fs::write(&rules, format!("[admin]\nlisten = \"{listen}\"")).expect("a file");
            let way = Way {
                admin: admin.map(str::to_owned),
                rules: rules.clone(),
            };
            way.is_own(&way.address().expect("an address"))
        };
        assert!(is_own("127.0.0.1:9090", None));
        assert!(is_own("0.0.0.0:9090", Some("http://127.0.0.1:9090/")));
        assert!(is_own("[::]:9090", Some("http://127.0.0.1:9090")));
        assert!(is_own("unix:/run/a.sock", Some("unix:/run/a.sock")));
        assert!(!is_own("127.0.0.1:9090", Some("http://127.0.0.1:9091")));
        assert!(!is_own("127.0.0.1:0", Some("http://127.0.0.1:9090")));
        assert!(!is_own("unix:/run/a.sock", Some("http://127.0.0.1:9090")));
        assert!(!is_own("127.0.0.1:443", Some("https://127.0.0.1:443")));
    }
}
