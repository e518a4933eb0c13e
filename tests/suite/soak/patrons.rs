use crate::world;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use tokio::task::JoinSet;

/// Each has a number of his own.
const PATRONS: usize = 6;

/// Clients that write and read, and remember what they were told.
pub struct Patrons {
    is_over: Arc<AtomicBool>,
    patrons: JoinSet<usize>,
}

impl Patrons {
    pub fn come(proxy: SocketAddr) -> Patrons {
        let is_over: Arc<AtomicBool> = Arc::default();
        let mut patrons = JoinSet::new();
        for id in 0..PATRONS {
            let is_over = is_over.clone();
            patrons.spawn(async move {
                let (mut told, mut checked) = (0, 0);
                while !is_over.load(SeqCst) {
                    for (method, target) in
                        [("POST", "raise"), ("GET", "number"), ("GET", "number")]
                    {
                        let target = format!("/{target}/patron-{id}");
                        let got = world::ask(proxy, method, &target, &[], "").await;
                        if got.status == 200 {
                            told = held_against(id, told, &got.text());
                            checked += 1;
                        } else {
                            assert!([502, 503, 504].contains(&got.status), "{}", got.text());
                        }
                    }
                }
                checked
            });
        }
        Patrons { is_over, patrons }
    }

    /// All go. How many answers they checked.
    pub async fn leave(mut self) -> usize {
        self.is_over.store(true, SeqCst);
        let mut checked = 0;
        while let Some(one) = self.patrons.join_next().await {
            checked += one.expect("every answer was his own, and none was old");
        }
        checked
    }
}

fn held_against(id: usize, told: i64, text: &str) -> i64 {
    let document: serde_json::Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(
        document["id"],
        format!("patron-{id}"),
        "somebody else's answer"
    );
    let n = document["n"].as_i64().expect("a number");
    assert!(n >= told, "patron {id} was told {told}, then {n}");
    n
}
