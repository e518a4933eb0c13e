use super::*;
use crate::traffic;
use http_body_util::BodyExt;
use hyper::Method;

struct World {
    tape: Arc<Tape>,
    directory: tempfile::TempDir,
}

impl World {
    fn new(taste: Taste) -> World {
        let directory = tempfile::tempdir().expect("a directory");
        let recorder = Recorder::create(&directory.path().join("recording"));
        World {
            tape: Tape::new(recorder.expect("a new file"), taste),
            directory,
        }
    }

    fn exchanges(&self) -> Vec<Exchange> {
        let traffic = traffic::read(&self.directory.path().join("recording"));
        traffic.expect("a recording").exchanges
    }
}

fn post(body: Body) -> Request<Body> {
    let request = Request::post("/a?b=1").header("host", "a.example");
    request
        .header("connection", "close")
        .body(body)
        .expect("a request")
}

fn full(text: &'static str) -> Body {
    Body::full(Bytes::from_static(text.as_bytes()))
}

async fn read(body: Body) {
    body.collect().await.expect("whole");
}

#[tokio::test]
async fn an_exchange_is_written_down_once_both_its_bodies_are_over() {
    let world = World::new(Taste::default());
    let (request, take) = world.tape.request(post(full("sent")));
    assert_eq!(request.headers()[header::ACCEPT_ENCODING], "identity");
    let answer = take.answered(Response::new(full("got")));
    read(answer.into_body()).await;
    assert_eq!(world.exchanges().len(), 0, "the request's is not");
    read(request.into_body()).await;
    let all = world.exchanges();
    assert_eq!(
        (all[0].method.clone(), all[0].target.as_str()),
        (Method::POST, "/a?b=1")
    );
    assert_eq!(all[0].body, "sent");
    assert!(
        !all[0].headers.contains_key("connection"),
        "of one connection only"
    );
    assert!(
        !all[0].headers.contains_key("accept-encoding"),
        "not its client's"
    );
    let body = all[0]
        .answer
        .as_ref()
        .and_then(|answer| answer.body.clone());
    assert_eq!(body.as_deref(), Some(&b"got"[..]));
    let tally = world.tape.finish().expect("written");
    assert_eq!(
        tally,
        Tally {
            recorded: 1,
            ..Tally::default()
        }
    );
}

#[tokio::test]
async fn what_is_too_long_or_breaks_off_is_left_out() {
    let world = World::new(Taste::default());
    let long = Bytes::from(vec![b'x'; MAX_BODY + 1]);
    let (request, take) = world.tape.request(post(Body::full(long)));
    read(request.into_body()).await;
    drop(take.answered(Response::new(full("its reader leaves"))));
    let all = world.exchanges();
    assert!(all[0].lacks_body(), "{:?}", all[0].headers);
    assert_eq!(
        all[0]
            .answer
            .as_ref()
            .and_then(|answer| answer.body.clone()),
        None
    );
    let tally = world.tape.finish().expect("written");
    assert_eq!((tally.recorded, tally.without_body), (1, 1));
}

#[tokio::test]
async fn what_was_not_asked_or_not_answered_is_not_written_down() {
    let world = World::new(Taste::default());
    // Its client broke off.
    let (request, take) = world.tape.request(post(full("half")));
    drop(request);
    read(take.answered(Response::new(Body::empty())).into_body()).await;
    // We answered in the origin's place.
    let (request, take) = world.tape.request(post(full("whole")));
    read(request.into_body()).await;
    let mut ours = Response::new(full("error"));
    ours.extensions_mut().insert(Ours);
    read(take.answered(ours).into_body()).await;
    assert_eq!(world.exchanges().len(), 0);
    let tally = world.tape.finish().expect("written");
    assert_eq!((tally.recorded, tally.unanswered), (0, 2));
}

#[tokio::test]
async fn an_answer_that_has_no_body_by_its_kind_says_nothing_of_one() {
    let world = World::new(Taste::default());
    let (request, take) = world.tape.request(post(Body::empty()));
    drop(request);
    let mut not_modified = Response::new(Body::empty());
    *not_modified.status_mut() = StatusCode::NOT_MODIFIED;
    read(take.answered(not_modified).into_body()).await;
    let answer = world.exchanges()[0].answer.clone().expect("an answer");
    assert_eq!((answer.status, answer.body), (304, None));
}
