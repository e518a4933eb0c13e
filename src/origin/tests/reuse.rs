use super::*;

/// Answers every request on every connection.
async fn answering(mut line: Line) {
    while line.head().await.is_some() {
        line.say(OK).await;
    }
}

#[tokio::test]
async fn a_connection_is_used_again_and_the_request_arrives_as_it_was() {
    let (address, seen) = scripted(answering).await;
    let origin = client(&http(address));
    for _ in 0..3 {
        assert_eq!(
            text(origin.ask(get()).await.expect("an answer")).await,
            "ok"
        );
    }
    assert_eq!(connections(&seen), [0, 0, 0]);
    let head = &seen.lock().expect("not poisoned")[0].1;
    assert_eq!(
        head,
        "GET /a?b=%63 HTTP/1.1\r\nhost: api.clinic.example\r\n\r\n"
    );
}

#[tokio::test]
async fn a_connection_whose_answer_is_unread_is_not_shared() {
    let (address, seen) = scripted(answering).await;
    let origin = client(&http(address));
    let first = origin.ask(get()).await.expect("an answer");
    let second = origin.ask(get()).await.expect("an answer");
    assert_eq!(connections(&seen), [0, 1]);
    assert_eq!(
        (text(first).await, text(second).await),
        ("ok".into(), "ok".into())
    );
    assert_eq!(origin.0.pool.idle_count(), 2);
}

#[tokio::test]
async fn an_answer_that_is_dropped_closes_its_connection() {
    let (closed, mut closings) = tokio::sync::mpsc::channel(1);
    let (address, _) = scripted(move |mut line| {
        let closed = closed.clone();
        async move {
            line.head().await;
            line.say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
                .await;
            line.closed().await;
            closed.send(()).await.expect("the test waits");
        }
    })
    .await;
    let origin = client(&http(address));
    drop(origin.ask(get()).await.expect("an answer"));
    closings.recv().await.expect("the origin saw the end");
    assert_eq!(origin.0.pool.idle_count(), 0);
}

/// Answers once; the next request on the same connection only makes it close.
async fn closing_on_the_second(mut line: Line) {
    line.head().await;
    line.say(OK).await;
    line.head().await;
}

#[tokio::test]
async fn a_read_that_met_a_closing_connection_is_sent_once_more() {
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        let (address, seen) = scripted(closing_on_the_second).await;
        let origin = client(&http(address));
        text(origin.ask(get()).await.expect("an answer")).await;
        let again = origin.ask(request(method, Body::empty())).await;
        assert_eq!(again.expect("an answer").status(), 200);
        assert_eq!(connections(&seen), [0, 0, 1]);
    }
}

#[tokio::test]
async fn a_write_that_was_begun_is_never_sent_again() {
    for write in [
        post("x"),
        request(Method::POST, Body::empty()),
        request(Method::DELETE, Body::empty()),
        request(Method::GET, Bytes::from_static(b"a body")),
    ] {
        let (address, seen) = scripted(closing_on_the_second).await;
        let origin = client(&http(address));
        text(origin.ask(get()).await.expect("an answer")).await;
        let failure = origin.ask(write).await.expect_err("no answer");
        assert_eq!(failure.kind, FailureKind::Closed);
        assert!(failure.may_have_acted);
        assert_eq!(connections(&seen), [0, 0]);
    }
}

#[tokio::test]
async fn a_read_that_was_partly_answered_is_not_sent_again() {
    let (address, seen) = scripted(|mut line| async move {
        line.head().await;
        line.say(OK).await;
        line.head().await;
        line.say("HTTP/1.1 2").await;
    })
    .await;
    let origin = client(&http(address));
    text(origin.ask(get()).await.expect("an answer")).await;
    let failure = origin.ask(get()).await.expect_err("no answer");
    assert_eq!(failure.kind, FailureKind::Closed);
    assert_eq!(connections(&seen), [0, 0]);
}

#[tokio::test]
async fn a_fresh_connection_that_closes_is_not_tried_again() {
    let (address, seen) = scripted(|mut line| async move { drop(line.head().await) }).await;
    let failure = client(&http(address)).ask(get()).await;
    let failure = failure.expect_err("no answer");
    assert_eq!(failure.kind, FailureKind::Closed);
    assert!(failure.may_have_acted);
    assert_eq!(connections(&seen), [0]);
}

#[tokio::test]
async fn a_write_finds_a_connection_that_was_not_closed_meanwhile() {
    let (address, seen) = scripted(|mut line| async move {
        line.head().await;
        line.say(OK).await;
    })
    .await;
    let origin = client(&http(address));
    text(origin.ask(get()).await.expect("an answer")).await;
    let pool = &origin.0.pool;
    eventually(|| pool.closed_count() == pool.idle_count()).await;
    assert_eq!(
        text(origin.ask(post("x")).await.expect("an answer")).await,
        "ok"
    );
    assert_eq!(connections(&seen), [0, 1]);
}

#[tokio::test]
async fn bytes_after_an_answer_never_become_the_next_answer() {
    let extra = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
    for told in [OK, "HTTP/1.1 204 No Content\r\n\r\n"] {
        let (address, seen) = scripted(move |mut line| async move {
            while line.head().await.is_some() {
                let extra = if line.number == 0 { extra } else { "" };
                line.say(&format!("{told}{extra}")).await;
            }
        })
        .await;
        let origin = client(&http(address));
        for _ in 0..2 {
            let body = text(origin.ask(get()).await.expect("an answer")).await;
            assert_ne!(body, "poison");
        }
        assert_eq!(connections(&seen), [0, 1]);
    }
}

#[tokio::test]
async fn bytes_on_an_idle_connection_close_it() {
    let (more, _) = tokio::sync::broadcast::channel::<()>(1);
    let say_more = more.clone();
    let (address, seen) = scripted(move |mut line| {
        let mut more = more.subscribe();
        async move {
            line.head().await;
            line.say(OK).await;
            if more.recv().await.is_ok() {
                line.say("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison")
                    .await;
            }
            line.closed().await;
        }
    })
    .await;
    let origin = client(&http(address));
    text(origin.ask(get()).await.expect("an answer")).await;
    assert_eq!(origin.0.pool.idle_count(), 1);
    say_more.send(()).expect("the origin listens");
    eventually(|| origin.0.pool.closed_count() == 1).await;
    assert_eq!(
        text(origin.ask(get()).await.expect("an answer")).await,
        "ok"
    );
    assert_eq!(connections(&seen), [0, 1]);
}

#[tokio::test]
async fn a_question_that_is_given_up_closes_its_connection() {
    let (reached, mut progress) = tokio::sync::mpsc::channel(1);
    let (address, _) = scripted(move |mut line| {
        let reached = reached.clone();
        async move {
            line.head().await;
            reached.send("asked").await.expect("the test waits");
            line.closed().await;
            reached.send("closed").await.expect("the test waits");
        }
    })
    .await;
    let origin = client(&http(address));
    let asking = tokio::spawn(async move { origin.ask(post("x")).await.map(drop) });
    assert_eq!(progress.recv().await, Some("asked"));
    asking.abort();
    assert_eq!(progress.recv().await, Some("closed"));
}

#[tokio::test]
async fn an_origin_that_wants_to_close_is_left_alone() {
    let (address, seen) = scripted(|mut line| async move {
        line.head().await;
        line.say("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
            .await;
        line.head().await;
    })
    .await;
    let origin = client(&http(address));
    for _ in 0..2 {
        assert_eq!(
            text(origin.ask(get()).await.expect("an answer")).await,
            "ok"
        );
    }
    assert_eq!(connections(&seen), [0, 1]);
}

#[tokio::test]
async fn an_early_answer_ends_the_connection_with_the_upload() {
    let (address, seen) = scripted(|mut line| async move {
        line.head().await;
        let refusal = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n";
        line.say(if line.number == 0 { refusal } else { OK }).await;
        line.closed().await;
    })
    .await;
    let origin = client(&http(address));
    let (upload, body) = Body::channel(Some(1 << 20));
    let answer = origin.ask(request(Method::POST, body)).await;
    assert_eq!(answer.expect("an answer").status(), 413);
    assert_eq!(origin.0.pool.idle_count(), 0);
    upload.closed().await; // nobody reads it any more
    assert_eq!(origin.ask(get()).await.expect("an answer").status(), 200);
    assert_eq!(connections(&seen), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_in_time() {
    let (ours, theirs) = tokio::io::duplex(1 << 12);
    let mut line = Line {
        number: 0,
        stream: Box::new(theirs),
        seen: Seen::default(),
    };
    let pool = Pool::new(Duration::from_secs(4), Slots::new(1000));
    pool.put(
        Connection::open(Box::new(ours), None)
            .await
            .expect("no I/O yet"),
    );
    assert_eq!(pool.idle_count(), 1);
    let before = Instant::now();
    line.closed().await;
    assert_eq!(pool.idle_count(), 0);
    assert_eq!(before.elapsed().as_secs(), 4);
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_bounded_and_the_last_is_first() {
    let pool = Pool::new(Duration::from_secs(4), Slots::new(1000));
    let mut theirs = Vec::new();
    for _ in 0..pool::MAX_IDLE + 3 {
        let (ours, other) = tokio::io::duplex(64);
        theirs.push(other);
        pool.put(
            Connection::open(Box::new(ours), None)
                .await
                .expect("no I/O yet"),
        );
    }
    assert_eq!(pool.idle_count(), pool::MAX_IDLE);
    drop(theirs.drain(..pool::MAX_IDLE - 1)); // all but the last that was kept
    eventually(|| pool.closed_count() == pool::MAX_IDLE - 1).await;
    assert!(pool.take().is_some(), "the last is on top");
    assert!(pool.take().is_none(), "the others are closed");
}

#[tokio::test]
async fn to_use_an_idle_connection_has_nobody_look_at_the_others() {
    let (address, _) = scripted(answering).await;
    let origin = client(&http(address));
    let (one, other) = tokio::join!(origin.ask(get()), origin.ask(get()));
    text(one.expect("an answer")).await;
    text(other.expect("an answer")).await;
    tokio::task::yield_now().await; // whoever tends them looks once, when they come
    let (idle, tended) = (origin.0.pool.idle_count(), origin.0.pool.tended_count());
    for _ in 0..10 {
        text(origin.ask(get()).await.expect("an answer")).await;
        tokio::task::yield_now().await;
    }
    assert_eq!((idle, origin.0.pool.tended_count()), (2, tended));
}
