use super::*;
use std::time::Duration;

#[tokio::test]
async fn a_connection_that_is_closed_when_idle_costs_no_client_an_error_and_is_made_again() {
    let world = World::of(0).await;
    world.provider.close_idle(Some(Duration::from_millis(700)));
    let here = Sidecar::start(&world.origin, &world.provider.url(), RULES).await;
    is(&here, "up").await;
    kept(&here, "/value/a").await;
    for round in 0..3 {
        let closed = world.provider.closed_idle();
        eventually("it is closed", async || {
            world.provider.closed_idle() > closed
        })
        .await;
        // Whether it is noticed before, while or after this is asked.
        let got = here.get("/value/a").await;
        assert_eq!(
            (got.status, got.n()),
            (200, round),
            "{}",
            got.cache_status()
        );
        let raised = here.ask("POST", "/raise/a", &[], "").await;
        assert_eq!((raised.status, raised.n()), (200, round + 1));
        assert_eq!(kept(&here, "/value/a").await, round + 1, "it is made again");
    }
}

#[tokio::test]
async fn whatever_happens_to_a_reply_clients_get_the_origins_answer_and_no_write_is_lost() {
    let world = World::of(2).await;
    let [here, there] = &world.sidecars[..] else {
        panic!("two sidecars");
    };
    let late = Duration::from_millis(1500); // longer than the timeout
    let mishaps = [
        Mishap::HalfThenClosed,
        Mishap::CommandCut,
        Mishap::ReplyLost,
        Mishap::HalfThenSilence,
        Mishap::Late(late),
    ];
    let mut n = 0;
    for mishap in mishaps {
        for is_write in [false, true] {
            assert_eq!(kept(here, "/value/a").await, n, "{mishap:?}");
            assert_eq!(kept(there, "/value/a").await, n, "{mishap:?}");
            world.provider.befall(mishap);
            if is_write {
                n = world.raise(0).await;
            } else {
                let got = here.get("/value/a").await;
                assert_eq!((got.status, got.n()), (200, n), "{mishap:?}");
            }
            assert!(world.provider.has_befallen(), "{mishap:?}");
            eventually("nothing is owed", async || owed(here).await == 0).await;
            assert_eq!(there.get("/value/a").await.n(), n, "{mishap:?}");
        }
    }
}
