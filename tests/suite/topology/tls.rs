//! Certificates, users and sockets.

use super::*;
use crate::redis::free_port;
use crate::world::REGISTER_RULES;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::path::PathBuf;

/// An authority of one's own, a server's certificate and a client's.
struct Authority {
    home: tempfile::TempDir,
}

impl Authority {
    /// For servers that are called so.
    fn for_servers(names: &[&str]) -> Authority {
        let home = tempfile::tempdir().expect("a directory");
        let key = || KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params
            .distinguished_name
            .push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("an authority");
        let authority = Authority { home };
        std::fs::write(authority.path("ca.pem"), issuer.pem()).expect("written");
        for (who, names) in [("server", names), ("client", &["sidecache"][..])] {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let (mut params, key) = (CertificateParams::new(names).expect("names"), key());
            params.distinguished_name.push(DnType::CommonName, who);
            let signed = params.signed_by(&key, &issuer).expect("signed");
            std::fs::write(authority.path(&format!("{who}.pem")), signed.pem()).expect("written");
            let key_file = authority.path(&format!("{who}.key"));
            std::fs::write(key_file, key.serialize_pem()).expect("written");
        }
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// What makes a server speak TLS at this port, to clients with a certificate.
    fn args(&self, port: u16) -> Vec<String> {
        let path = |name: &str| self.path(name).display().to_string();
        let pairs = [
            ("--tls-port", port.to_string()),
            ("--tls-cert-file", path("server.pem")),
            ("--tls-key-file", path("server.key")),
            ("--tls-ca-cert-file", path("ca.pem")),
        ];
        let args = pairs
            .into_iter()
            .flat_map(|(name, value)| [name.to_owned(), value]);
        args.collect()
    }

    /// A sidecar that trusts it, and may have a certificate of it.
    async fn sidecar(&self, origin: &Origin, url: &str, is_known: bool) -> Sidecar {
        let path = |name: &str| self.path(name).display().to_string();
        let mut store = format!("[store]\nca = \"{}\"", path("ca.pem"));
        if is_known {
            store += &format!(
                "\ncert = \"{}\"\nkey = \"{}\"",
                path("client.pem"),
                path("client.key")
            );
        }
        let text = head(origin.address, url).replace("[store]", &store);
        Sidecar::with_file(&format!("{text}{REGISTER_RULES}")).await
    }
}

fn server(args: &[String]) -> RedisServer {
    RedisServer::start_with(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

async fn is_refused(sidecar: &Sidecar) {
    eventually("it is refused", async || {
        let metrics = sidecar.door("GET", "/metrics", "").await.text();
        metrics.contains("sidecache_store_errors_total{kind=\"io\"}")
    })
    .await;
    assert!(!sidecar.server.live().ground.store.up());
}

#[tokio::test]
async fn a_server_is_known_by_its_name_or_address_and_knows_its_clients() {
    let authority = Authority::for_servers(&["localhost", "127.0.0.1"]);
    let port = free_port();
    let _redis = server(&authority.args(port));
    let origin = numbers().await;
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("rediss://{host}:{port}");
        let sidecar = authority.sidecar(&origin, &url, true).await;
        hits(&sidecar, THING).await;
    }
    let url = format!("rediss://localhost:{port}");
    is_refused(&authority.sidecar(&origin, &url, false).await).await;
    let other = Authority::for_servers(&["elsewhere"]);
    let port = free_port();
    let _redis = server(&other.args(port));
    let url = format!("rediss://localhost:{port}");
    is_refused(&other.sidecar(&origin, &url, true).await).await;
}

#[tokio::test]
async fn the_nodes_of_a_cluster_are_known_by_the_name_of_the_one_that_told_of_them() {
    let authority = Authority::for_servers(&["localhost"]);
    let (port, bus) = (free_port(), free_port());
    let bus = bus.to_string();
    let of_cluster = ["--cluster-enabled", "yes", "--cluster-port", &bus].map(str::to_owned);
    let announced = ["--cluster-announce-ip", "127.0.0.1"].map(str::to_owned);
    let announced = [&announced[..], &["--tls-cluster", "yes"].map(str::to_owned)].concat();
    let redis = server(&[&authority.args(port)[..], &of_cluster, &announced].concat());
    assert_eq!(redis.say("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
    let origin = numbers().await;
    let url = format!("rediss-cluster://localhost:{port}");
    let sidecar = authority.sidecar(&origin, &url, true).await;
    hits(&sidecar, THING).await;
    assert!(stands(&redis, "test:{test}:*"));
}

#[tokio::test]
async fn sentinels_and_their_primary_are_spoken_to_in_tls() {
    let authority = Authority::for_servers(&["127.0.0.1"]);
    let (port, at) = (free_port(), free_port());
    let redis = server(&authority.args(port));
    let lines = authority
        .args(at)
        .chunks(2)
        .fold(String::new(), |lines, pair| {
            format!("{lines}{} {}\n", pair[0].trim_start_matches('-'), pair[1])
        });
    let monitor = format!("sentinel monitor main 127.0.0.1 {port} 1");
    let _sentinel = RedisServer::sentinel(&format!("{lines}tls-replication yes\n{monitor}"));
    let origin = numbers().await;
    let url = format!("rediss-sentinel://127.0.0.1:{at}?sentinelServiceName=main");
    let sidecar = authority.sidecar(&origin, &url, true).await;
    hits(&sidecar, THING).await;
    assert!(stands(&redis, "test:*"));
}

#[tokio::test]
async fn a_user_is_let_in_with_his_password_and_may_do_what_the_readme_lists() {
    let redis = RedisServer::start();
    redis.say(&format!(
        "ACL SETUSER sidecache on >hunter2 ~test:* &test:!drops {}",
        allowed()
    ));
    redis.say("ACL SETUSER default off");
    let origin = numbers().await;
    for url in [
        redis.url().replace("://", "://sidecache:hunter2@"),
        format!(
            "redis+unix://sidecache:hunter2@x{}?db=0",
            redis.socket().display()
        ),
    ] {
        let sidecar = strict(&origin, &url, REGISTER_RULES).await;
        hits(&sidecar, THING).await;
        let written = changed(&sidecar).await;
        assert_eq!(sidecar.get(THING).await.n(), written);
        let told = sidecar.door("GET", "/api/stats", "").await.text();
        assert!(told.contains("\"only_this_process\":false"), "{told}");
    }
}

/// What the README lists.
fn allowed() -> String {
    let readme = include_str!("../../../README.md");
    let from = readme
        .find("-@all")
        .expect("the README lists what a user needs");
    let words = readme[from..].split("```").next().unwrap_or_default();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}
