use super::*;
use hyper::body::Frame;
use rcgen::CertifiedKey;
use tokio::net::UnixListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

fn line(stream: impl Stream + 'static) -> Line {
    Line {
        number: 0,
        stream: Box::new(stream),
        seen: Seen::default(),
    }
}

/// A client and the listener of an origin on a Unix socket, which delivers at once: so a clock that
/// stands still is not moved on while bytes are under way.
fn on_unix(patience: Duration) -> (Origin, UnixListener, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("origin.sock");
    let listener = UnixListener::bind(&path).expect("a new path");
    let origin = client(&ProxySettings {
        origin_timeout: patience,
        ..settings(OriginAddress::Unix(path))
    });
    (origin, listener, directory)
}

#[tokio::test]
async fn an_origin_may_stand_on_a_unix_socket() {
    let (origin, listener, _directory) = on_unix(Duration::from_secs(30));
    let serve = async {
        let mut line = line(listener.accept().await.expect("a connection").0);
        for _ in 0..2 {
            line.head().await;
            line.say(OK).await;
        }
    };
    let ask = async {
        for _ in 0..2 {
            assert_eq!(
                text(origin.ask(get()).await.expect("an answer")).await,
                "ok"
            );
        }
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn an_answer_of_an_older_version_is_passed_on_in_ours() {
    let (origin, listener, _directory) = on_unix(Duration::from_secs(30));
    let serve = async {
        let mut line = line(listener.accept().await.expect("a connection").0);
        line.head().await;
        line.say("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await;
    };
    let ask = async {
        let answer = origin.ask(get()).await.expect("an answer");
        assert_eq!(answer.version(), hyper::Version::HTTP_11);
        assert_eq!(text(answer).await, "ok");
    };
    tokio::join!(serve, ask);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_keeps_moving_is_not_timed_out() {
    let patience = Duration::from_secs(3);
    let (origin, listener, _directory) = on_unix(patience);
    let (upload, body) = Body::channel(None);
    let serve = async {
        let mut line = line(listener.accept().await.expect("a connection").0);
        let head = line.head().await.expect("a head");
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        for _ in 0..5 {
            upload
                .send(Frame::data(Bytes::from_static(b"slow")))
                .await
                .expect("read");
            let mut chunk = [0; "4\r\nslow\r\n".len()];
            line.stream.read_exact(&mut chunk).await.expect("a chunk");
            tokio::time::sleep(patience - Duration::from_secs(1)).await;
        }
        upload.finish();
        assert_eq!(line.head().await.as_deref(), Some("0\r\n\r\n"));
        line.say(OK).await;
    };
    let (answer, ()) = tokio::join!(origin.ask(request(Method::POST, body)), serve);
    assert_eq!(answer.expect("an answer").status(), 200);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_stands_still_is_timed_out() {
    let (origin, listener, _directory) = on_unix(Duration::from_secs(3));
    let (upload, body) = Body::channel(None);
    upload
        .send_now(Frame::data(Bytes::from_static(b"slow")))
        .expect("read");
    let serve = async {
        let mut line = line(listener.accept().await.expect("a connection").0);
        line.closed().await;
    };
    let (answer, ()) = tokio::join!(origin.ask(request(Method::POST, body)), serve);
    assert_eq!(answer.expect_err("no answer").kind, FailureKind::Timeout);
    assert!(upload.send_now(Frame::data(Bytes::new())).is_err());
}

#[tokio::test]
async fn a_body_of_unknown_length_is_sent_even_with_a_get_and_trailers_pass() {
    let (address, seen) = scripted(|mut line| async move {
        line.head().await;
        let mut body = [0; "3\r\nabc\r\n0\r\n\r\n".len()];
        line.stream.read_exact(&mut body).await.expect("a body");
        assert_eq!(&body, b"3\r\nabc\r\n0\r\n\r\n");
        line.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-sum: 1\r\n\r\n")
            .await;
    })
    .await;
    let (upload, body) = Body::channel(None);
    upload
        .send_now(Frame::data(Bytes::from_static(b"abc")))
        .expect("read");
    upload.finish();
    let origin = client(&http(address));
    let answer = origin
        .ask(request(Method::GET, body))
        .await
        .expect("an answer");
    let whole = answer.into_body().collect().await.expect("whole");
    assert_eq!(whole.trailers().expect("trailers")["x-sum"], "1");
    let head = &seen.lock().expect("not poisoned")[0].1;
    assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
}

#[tokio::test]
async fn a_length_that_does_not_fit_the_body_is_corrected() {
    let (address, seen) = scripted(|mut line| async move {
        line.head().await;
        line.say(OK).await;
    })
    .await;
    let mut wrong = post("abc");
    wrong.headers_mut().insert("content-length", 5.into());
    client(&http(address)).ask(wrong).await.expect("an answer");
    let head = &seen.lock().expect("not poisoned")[0].1;
    assert!(head.contains("content-length: 3\r\n"), "{head}");
}

fn certificate() -> (ServerConfig, RootCertStore) {
    let names = vec!["localhost".to_owned()];
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(names).expect("a certificate");
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("they fit");
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).expect("a certificate");
    (config, roots)
}

/// What comes of asking a TLS origin by this name.
async fn asked_over_tls(host: &str, trusted: bool) -> Result<String, FailureKind> {
    let (config, roots) = certificate();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.expect("loopback has ports");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.expect("a connection");
        if let Ok(tls) = TlsAcceptor::from(Arc::new(config)).accept(tcp).await {
            let mut line = line(tls);
            line.head().await;
            line.say(OK).await;
            line.closed().await;
        }
    });
    let settings = settings(OriginAddress::Https {
        host: host.to_owned(),
        port,
    });
    let origin = match trusted {
        true => Origin::trusting(&settings.origin, Patience::of(&settings), roots),
        false => Origin::new(&settings),
    };
    match origin.expect("a name").ask(get()).await {
        Ok(answer) => Ok(text(answer).await),
        Err(failure) => Err(failure.kind),
    }
}

#[tokio::test]
async fn an_https_origin_must_prove_its_name() {
    assert_eq!(asked_over_tls("localhost", true).await.as_deref(), Ok("ok"));
    let stranger = Err(FailureKind::Connect);
    assert_eq!(asked_over_tls("localhost", false).await, stranger);
    assert_eq!(asked_over_tls("127.0.0.1", true).await, stranger);
}

#[tokio::test]
async fn a_name_that_no_certificate_can_have_is_refused_at_once() {
    let settings = settings(OriginAddress::Https {
        host: "not a name".to_owned(),
        port: 443,
    });
    let refused = Origin::new(&settings).err();
    assert_eq!(refused, Some(OriginError::Name("not a name".to_owned())));
}
