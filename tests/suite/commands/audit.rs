use super::{TOKEN, run_with};
use crate::redis::eventually;
use crate::world::{Asked, Origin, Reply, Sidecar, head};

const RULES: &str = r#"
[audit]
leak = 1.0

[identity]
token = "header:authorization"

[[cache]]
name = "dashboard"
match = "GET /board/{id}"
key = "board:{id}"
query = []
ttl = "5m"
public = true
"#;

/// Its answers depend on who asks.
async fn leaking() -> (Origin, Sidecar) {
    let origin = Origin::start(|asked: Asked| async move {
        let who = asked
            .header("authorization")
            .unwrap_or("a stranger")
            .to_owned();
        Reply::json(format!(r#"{{"hello": "{who}"}}"#))
    })
    .await;
    let token = format!("[admin]\ntoken = \"{TOKEN}\"");
    let file = head(origin.address, "memory:").replacen("[admin]", &token, 1) + RULES;
    let sidecar = Sidecar::with_file(&file).await;
    (origin, sidecar)
}

#[tokio::test]
async fn findings_are_a_table_with_what_to_do_about_each() {
    let (_origin, sidecar) = leaking().await;
    let url = format!("http://{}", sidecar.admin());
    let audit = async |arguments: &[&str]| {
        let arguments = [&["audit", "--admin", &url], arguments].concat();
        run_with(&arguments, &[("SIDECACHE_ADMIN_TOKEN", TOKEN)])
            .await
            .succeeds()
    };
    assert_eq!(audit(&[]).await.out, "nothing was found\n");
    sidecar
        .get_with("/board/1", &[("authorization", "ann-7f3a")])
        .await;
    eventually("the leak is found", async || {
        audit(&[]).await.out.contains("leak")
    })
    .await;
    let out = audit(&[]).await.out;
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "leak: dashboard", "{out}");
    assert!(lines[1].starts_with("    seen: at "), "{out}");
    assert!(
        lines[2].starts_with("    do:   answers of `dashboard` differ by who asks"),
        "{out}"
    );
    assert!(!out.contains("ann-7f3a"), "{out}");
    let json: serde_json::Value =
        serde_json::from_str(&audit(&["--json"]).await.out).expect("JSON");
    assert_eq!(json["findings"][0]["rule"], "dashboard");
}
