//! The commands that talk to a running sidecar: each as a process, against a sidecar of the test's.

mod audit;
mod door; // how they find the door, and what they say where that fails
mod health;
mod inspect;
mod learn;
mod purge;
mod readme; // what it tells people to write
mod reload;
mod stats;
mod warm;

use crate::process::{command, stderr, stdout};
use crate::world::{Asked, Origin, Reply, Sidecar, head};
use std::process::Output;

const TOKEN: &str = "s3cret-token-of-the-door";

const RULES: &str = r#"
[[cache]]
name = "kept"
match = "GET /kept/{email}"
key = "kept:{email}"
query = []
ttl = "5m"
stale_if_error = "1m"
public = true

[[invalidate]]
name = "changed"
on = "POST /change/{email}"
drop = ["kept:{email}"]
"#;

/// What one command printed, and how it ended.
struct Ended {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Ended {
    fn of(output: &Output) -> Ended {
        Ended {
            status: output.status.code(),
            out: stdout(output),
            err: stderr(output),
        }
    }

    /// Fails unless it ended badly and said this.
    fn fails(&self, said: &str) {
        assert_eq!(self.status, Some(1), "{}{}", self.out, self.err);
        assert!(self.err.contains(said), "{said} is not in {}", self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
    }

    /// Fails unless it ended well.
    fn succeeds(self) -> Ended {
        assert_eq!(self.status, Some(0), "{}{}", self.out, self.err);
        self
    }
}

/// Runs the command with these arguments and variables, in a directory without a rules file.
async fn run_with(arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = command();
    command
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(directory.path());
    let ran = tokio::task::spawn_blocking(move || command.output());
    Ended::of(&ran.await.expect("no panic").expect("the command starts"))
}

/// A sidecar whose door wants [`TOKEN`].
struct World {
    _origin: Origin,
    sidecar: Sidecar,
}

impl World {
    async fn start() -> World {
        World::on("memory:", RULES).await
    }

    async fn on(store: &str, rules: &str) -> World {
        let origin = Origin::start(|asked: Asked| async move {
            let body = format!(
                r#"{{"of": "{}", "says": "{}"}}"#,
                asked.target,
                "a ".repeat(1000)
            );
            Reply::json(body).header("etag", "\"1\"")
        })
        .await;
        let token = format!("[admin]\ntoken = \"{TOKEN}\"");
        let file = head(origin.address, store).replacen("[admin]", &token, 1) + rules;
        World {
            sidecar: Sidecar::with_file(&file).await,
            _origin: origin,
        }
    }

    fn door(&self) -> String {
        format!("http://{}", self.sidecar.admin())
    }

    /// Runs a command against its door, with its token.
    async fn run(&self, arguments: &[&str]) -> Ended {
        let door = self.door();
        let arguments: Vec<&str> = arguments
            .iter()
            .copied()
            .chain(["--admin", &door])
            .collect();
        run_with(&arguments, &[("SIDECACHE_ADMIN_TOKEN", TOKEN)]).await
    }
}
