//! Those who read and those who write.

use super::checker::Promise;
use super::dice::Dice;
use super::fleet::{Fleet, Sidecar};
use super::history::Fault;
use super::origin::WRITE;
use super::report::Read;
use super::{REGISTERS, SIDECARS};
use crate::body::Body;
use crate::client::Client;
use crate::proxy;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Frame;
use hyper::http::response::Parts;
use hyper::{Request, Response};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// How many of a thousand writes drop softly what may be dropped so.
const SOFT_OF_1000: usize = 800;

/// What a client does beside asking.
#[derive(Default)]
struct Manners {
    leaves_after: Option<Duration>,
    between_pieces: Duration,
    breaks_upload: bool,
}

impl Manners {
    fn drawn(dice: &mut Dice, fleet: &Fleet, may_upload: bool) -> Manners {
        let mut manners = Manners::default();
        if !dice.in_thousand(fleet.history.likely().client) {
            return manners;
        }
        let fault = match dice.one_of(&Fault::OF_CLIENTS) {
            Fault::UploadBroken if !may_upload => Fault::Left,
            fault => fault,
        };
        fleet.history.injected(fault);
        match fault {
            Fault::UploadBroken => manners.breaks_upload = true,
            Fault::ReadSlowly => manners.between_pieces = dice.ms(1, 60),
            _ => manners.leaves_after = Some(dice.ms(0, 40)),
        }
        manners
    }
}

/// What a client got.
enum Got {
    Answer(Parts, Bytes),
    /// A head, and a body that broke off.
    Broken(Parts),
    /// It left, or the sidecar was killed.
    Nothing,
}

impl Sidecar {
    async fn ask(&self, request: Request<Body>, manners: &Manners) -> Got {
        let client = Client::at(Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let patience = manners.leaves_after.unwrap_or(Duration::MAX);
        tokio::select! {
            biased;
            () = self.death.cancelled() => Got::Nothing,
            () = sleep(patience) => Got::Nothing,
            response = proxy::answer(self.live.clone(), client, request) => {
                self.read(response, manners).await
            }
        }
    }

    async fn read(&self, response: Response<Body>, manners: &Manners) -> Got {
        let (head, mut body) = response.into_parts();
        let mut bytes = BytesMut::new();
        loop {
            sleep(manners.between_pieces).await;
            let frame = tokio::select! {
                biased;
                () = self.death.cancelled() => return Got::Broken(head),
                frame = body.frame() => frame,
            };
            match frame {
                None => return Got::Answer(head, bytes.freeze()),
                Some(Err(_)) => return Got::Broken(head),
                Some(Ok(frame)) => {
                    bytes.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()))
                }
            }
        }
    }
}

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    One,
    Page,
    All,
    Spoken,
    Grouped,
    Counted,
}

impl Route {
    pub const ALL: [Route; 6] = [
        Route::One,
        Route::Page,
        Route::All,
        Route::Spoken,
        Route::Grouped,
        Route::Counted,
    ];

    /// As [`RULES`](super::RULES) say.
    pub fn ttl(self) -> Duration {
        match self {
            Route::Page => super::SHORT_TTL,
            _ => super::LONG_TTL,
        }
    }

    fn promise(self) -> Promise {
        Promise {
            ttl: self.ttl(),
            local_ttl: match self {
                Route::Spoken | Route::Grouped => super::LOCAL_TTL,
                _ => Duration::ZERO,
            },
            window: match self {
                Route::Counted => super::WINDOW,
                _ => Duration::ZERO,
            },
            is_leased: self != Route::Grouped,
        }
    }

    fn target(self, register: usize, page: usize) -> String {
        match self {
            Route::One => format!("/one/{register}"),
            Route::Page => format!("/page/{register}?p={page}"),
            Route::All => "/all".into(),
            Route::Spoken => format!("/spoken/{register}"),
            Route::Grouped => format!("/grouped/{register}"),
            Route::Counted => format!("/counted/{register}"),
        }
    }
}

/// A request to read: of which registers, through whom.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    pub route: Route,
    pub register: usize,
    pub page: usize,
    pub language: &'static str,
}

impl Wish {
    fn drawn(dice: &mut Dice) -> Wish {
        Wish {
            route: dice.one_of(&Route::ALL),
            register: dice.below(REGISTERS),
            page: dice.below(2),
            language: dice.one_of(&["de", "fr"]),
        }
    }

    /// Whether its answers can be validated.
    pub fn is_validated(&self) -> bool {
        let target = self.route.target(self.register, self.page);
        target.ends_with(super::origin::VALIDATED)
    }

    fn request(&self) -> Request<Body> {
        let request = Request::get(self.route.target(self.register, self.page))
            .header("host", "api.test")
            .header("accept-language", self.language);
        request.body(Body::empty()).expect("well-formed")
    }
}

/// Reads until the run is over.
pub async fn read(fleet: Arc<Fleet>, mut dice: Dice) {
    while !fleet.is_quiet() {
        sleep(dice.ms(1, 80)).await;
        let (wish, place) = (Wish::drawn(&mut dice), dice.below(SIDECARS));
        let manners = Manners::drawn(&mut dice, &fleet, false);
        if let Some(sidecar) = fleet.at(place) {
            read_once(&fleet, &sidecar, wish, &manners).await;
        }
    }
}

/// Reads something through a sidecar and holds it against what is promised. The read, if it came to
/// an answer.
async fn read_once(
    fleet: &Fleet,
    sidecar: &Sidecar,
    wish: Wish,
    manners: &Manners,
) -> Option<Read> {
    fleet.settle_accounts();
    let begun = fleet.history.now();
    let promise = wish.route.promise();
    let hard = Promise {
        window: Duration::ZERO,
        ..promise
    };
    let floor = fleet.checker.floor(sidecar.number, promise);
    let hard_floor = fleet.checker.floor(sidecar.number, hard);
    let got = sidecar.ask(wish.request(), manners).await;
    let Got::Answer(head, body) = got else {
        return None;
    };
    if head.status != 200 {
        return None;
    }
    let status = head.headers.get("cache-status");
    let status = status
        .and_then(|status| status.to_str().ok())
        .unwrap_or_default();
    let read = Read {
        wish,
        through: sidecar.number,
        ended: fleet.history.now(),
        floor,
        hard_floor,
        ceiling: fleet.checker.ceiling(),
        is_hit: status.contains("; hit"),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    fleet.history.tell(format!(
        "read {:?} through {} from {} ms: {} {}",
        read.wish,
        read.through,
        begun.as_millis(),
        read.body,
        status
    ));
    fleet.report.lock().expect("not poisoned").judge(&read);
    Some(read)
}

/// The same without any trouble.
pub async fn read_well(
    fleet: &Fleet,
    sidecar: &Sidecar,
    route: Route,
    register: usize,
) -> Option<Read> {
    let wish = Wish {
        route,
        register,
        page: 0,
        language: "de",
    };
    read_once(fleet, sidecar, wish, &Manners::default()).await
}

/// Writes so often as the run has it, or until everybody ends.
pub async fn write(fleet: Arc<Fleet>, mut dice: Dice) {
    for _ in 0..fleet.history.likely().writes {
        sleep(dice.ms(1, 120)).await;
        if fleet.is_quiet() {
            return;
        }
        let (register, place) = (dice.below(REGISTERS), dice.below(SIDECARS));
        let manners = Manners::drawn(&mut dice, &fleet, true);
        let Some(sidecar) = fleet.at(place) else {
            continue;
        };
        let is_soft = dice.in_thousand(SOFT_OF_1000);
        if let Some(id) = fleet.checker.begun(register, sidecar.number, is_soft) {
            let target = match is_soft {
                true => format!("/raise/{register}"),
                false => format!("/force/{register}"),
            };
            write_once(&fleet, &sidecar, id, target, &manners).await;
        }
    }
}

async fn write_once(fleet: &Fleet, sidecar: &Sidecar, id: u64, target: String, manners: &Manners) {
    let (history, checker) = (&fleet.history, &fleet.checker);
    history.tell(format!(
        "write {id}, {target}, through {} begins",
        sidecar.number
    ));
    let request = Request::patch(target)
        .header("host", "api.test")
        .header(WRITE, id)
        .body(upload(manners));
    let got = sidecar.ask(request.expect("well-formed"), manners).await;
    let status = match got {
        Got::Answer(head, _) | Got::Broken(head) => head.status.as_u16(),
        Got::Nothing => 0,
    };
    // The origin itself never answers these.
    if matches!(status, 0 | 502..=504) {
        checker.untold(id);
    } else {
        let owes = sidecar.live.ground.store.owed() > 0;
        checker.told(id, owes);
    }
    history.tell(format!("write {id} ends with {status}"));
}

/// A few bytes, or the beginning of a few.
fn upload(manners: &Manners) -> Body {
    if !manners.breaks_upload {
        return Body::full(Bytes::from_static(b"raise"));
    }
    let (sender, body) = Body::channel(Some(5));
    let _ = sender.send_now(Frame::data(Bytes::from_static(b"ra"))); // the body is in our hands
    sender.abort();
    body
}
