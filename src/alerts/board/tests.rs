//! What fires, ends and is forgotten, step by step.

use super::*;
use crate::alerts::hysteresis::CALM_STEPS;
use crate::metrics::Metrics;
use crate::outcome::Outcome;
use crate::stats::STEP;

const WINDOW_STEPS: u64 = 3;

fn settings() -> AlertSettings {
    AlertSettings {
        hit_rate_below: Some(0.5),
        p99_above: Some(Duration::from_millis(100)),
        min_requests: 10,
        window: STEP * WINDOW_STEPS as u32,
        webhook: None,
    }
}

/// One rule, a store, and what is watched of them.
struct World {
    board: Board,
    settings: Option<AlertSettings>,
    metrics: Metrics,
    has_rule: bool,
    is_held: Option<bool>,
    store: SeenStore,
    at: u64,
}

impl World {
    fn new() -> World {
        World {
            board: Board::default(),
            settings: Some(settings()),
            metrics: Metrics::new(),
            has_rule: true,
            is_held: None,
            store: SeenStore {
                is_up: true,
                owed: 0,
            },
            at: 1_000_000,
        }
    }

    /// One step in which so many were answered.
    fn step(&mut self, hits: u64, misses: u64) -> Vec<Alert> {
        self.step_of(hits, misses, 1)
    }

    fn step_of(&mut self, hits: u64, misses: u64, took_ms: u64) -> Vec<Alert> {
        let rule = self.metrics.rule("list");
        let took = Duration::from_millis(took_ms);
        (0..hits).for_each(|_| rule.request(Outcome::Hit, took));
        (0..misses).for_each(|_| rule.request(Outcome::Miss, took));
        self.at += STEP.as_millis() as u64;
        let seen_rule = SeenRule {
            name: "list",
            counted: Counted::of(&rule.sum()),
            is_held: self.is_held,
        };
        let seen = Seen {
            at: self.at,
            settings: self.settings.as_ref(),
            rules: self.has_rule.then_some(seen_rule).into_iter().collect(),
            store: Some(self.store),
        };
        self.board.step(&seen).alerts
    }

    /// So many steps alike; what they told.
    fn steps(&mut self, steps: u64, hits: u64, misses: u64) -> Vec<(Kind, State)> {
        let told = (0..steps).flat_map(|_| self.step(hits, misses));
        told.map(|alert| (alert.kind, alert.state)).collect()
    }

    fn firing(&self) -> Vec<Kind> {
        let firing = self.board.firing().into_iter();
        firing.map(|alert| alert.kind).collect()
    }
}

const FIRED: [(Kind, State); 1] = [(Kind::HitRate, State::Firing)];
const ENDED: [(Kind, State); 1] = [(Kind::HitRate, State::Resolved)];

#[test]
fn a_cold_start_is_no_alert_and_a_whole_window_of_misses_is() {
    let mut world = World::new();
    assert_eq!(world.steps(WINDOW_STEPS, 0, 20), []);
    let told = world.step(0, 20);
    assert_eq!(told.len(), 1);
    let fired = &told[0];
    assert_eq!((fired.rule.as_str(), fired.kind), ("list", Kind::HitRate));
    assert_eq!((fired.value, fired.threshold), (Some(0.0), 0.5));
    assert_eq!((fired.window.as_deref(), fired.at), (Some("30s"), world.at));
    assert_eq!(world.board.firing(), told);
}

#[test]
fn it_ends_when_all_was_well_for_a_while_and_says_since_when_until_then() {
    let mut world = World::new();
    assert_eq!(world.steps(WINDOW_STEPS + 1, 1, 20), FIRED);
    let began = world.at;
    assert_eq!(world.steps(1, 30, 0), []);
    let firing = world.board.firing();
    assert_eq!(firing[0].at, began);
    assert!(firing[0].value > Some(0.3), "the latest value: {firing:?}");
    let told = world.steps(WINDOW_STEPS + u64::from(CALM_STEPS), 100, 0);
    assert_eq!(told, ENDED);
    assert_eq!(world.firing(), []);
    assert_eq!(world.steps(50, 100, 0), []);
}

#[test]
fn of_too_few_requests_nothing_fires_and_their_silence_ends_what_fired() {
    let mut world = World::new();
    assert_eq!(
        world.steps(50, 0, 3),
        [],
        "nine in a window, and ten are wanted"
    );
    assert_eq!(world.steps(WINDOW_STEPS, 0, 4), FIRED);
    assert_eq!(world.steps(WINDOW_STEPS - 1, 0, 0), []);
    let told = world.step(0, 0);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].state, told[0].value), (State::Resolved, None));
}

#[test]
fn slow_hits_fire_and_slow_misses_do_not() {
    let mut world = World::new();
    let slow = |world: &mut World, hits, misses| {
        let steps = 0..2 * WINDOW_STEPS;
        let told: Vec<Alert> = steps
            .flat_map(|_| world.step_of(hits, misses, 400))
            .collect();
        told
    };
    let misses = slow(&mut world, 0, 20);
    assert!(misses.iter().all(|alert| alert.kind == Kind::HitRate));
    let told = slow(&mut World::new(), 20, 0);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].kind, told[0].threshold), (Kind::P99, 100.0));
    let value = told[0].value.expect("a time");
    assert!((250.0..=500.0).contains(&value), "{value}");
}

#[test]
fn a_rule_or_a_threshold_that_is_gone_ends_its_alert() {
    let after_firing = |change: fn(&mut World)| {
        let mut world = World::new();
        assert_eq!(world.steps(WINDOW_STEPS + 1, 0, 20), FIRED);
        change(&mut world);
        let told = world.step(0, 20);
        assert_eq!(world.firing(), []);
        told
    };
    let gone: [fn(&mut World); 3] = [
        |world| world.has_rule = false,
        |world| world.settings = None,
        |world| {
            let settings = world.settings.as_mut().expect("written");
            settings.hit_rate_below = None;
        },
    ];
    for change in gone {
        let told = after_firing(change);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!((told[0].state, told[0].value), (State::Resolved, None));
    }
}

#[test]
fn a_reload_that_changes_the_window_judges_by_whole_new_ones() {
    let mut world = World::new();
    assert_eq!(world.steps(WINDOW_STEPS + 1, 0, 20), FIRED);
    let settings = world.settings.as_mut().expect("written");
    settings.window = STEP * 6;
    assert_eq!(world.steps(20, 0, 30), [], "as bad as it was");
    assert_eq!(world.board.firing()[0].window.as_deref(), Some("1m"));
    let settings = world.settings.as_mut().expect("written");
    settings.window = STEP * 12;
    assert_eq!(world.steps(12, 100, 0), []);
    assert_eq!(world.firing(), [Kind::HitRate], "it is not judged yet");
    assert_eq!(world.steps(1 + u64::from(CALM_STEPS), 100, 0), ENDED);
    assert_eq!(world.steps(20, 0, 30), FIRED, "and again");
}

#[test]
fn a_threshold_that_is_moved_counts_from_the_next_step() {
    let mut world = World::new();
    assert_eq!(world.steps(10, 30, 20), []);
    world.settings.as_mut().expect("written").hit_rate_below = Some(0.7);
    assert_eq!(world.steps(1, 30, 20), FIRED);
    world.settings.as_mut().expect("written").hit_rate_below = Some(0.5);
    assert_eq!(world.steps(u64::from(CALM_STEPS), 30, 20), ENDED);
}

#[test]
fn a_store_is_told_of_when_it_stays_away_and_what_is_owed_when_that_lasts() {
    let mut world = World::new();
    world.store.is_up = false;
    let quiet = DOWN_FOR.as_millis() / STEP.as_millis();
    assert_eq!(world.steps(quiet as u64, 0, 0), []);
    world.store.is_up = true;
    assert_eq!(world.steps(1, 0, 0), [], "a restart is no news");
    world.store = SeenStore {
        is_up: false,
        owed: 3,
    };
    assert_eq!(world.steps(quiet as u64, 0, 0), []);
    let told = world.step(0, 0);
    assert_eq!(told[0].kind, Kind::StoreDown);
    assert_eq!((told[0].rule.as_str(), told[0].window.clone()), ("-", None));
    assert_eq!((told[0].value, told[0].threshold), (Some(30.0), 30.0));
    assert_eq!(world.steps(3, 0, 0), [(Kind::Owed, State::Firing)]);
    assert_eq!(world.firing(), [Kind::StoreDown, Kind::Owed]);
    world.store = SeenStore {
        is_up: true,
        owed: 0,
    };
    let told = world.steps(u64::from(CALM_STEPS), 0, 0);
    let ended = [Kind::StoreDown, Kind::Owed].map(|kind| (kind, State::Resolved));
    assert_eq!(told, ended);
}

#[test]
fn a_quarantine_is_told_of_at_once() {
    let mut world = World::new();
    world.settings = Some(AlertSettings::default());
    world.is_held = Some(false);
    assert_eq!(world.steps(5, 0, 0), []);
    world.is_held = Some(true);
    assert_eq!(world.steps(5, 0, 0), [(Kind::Quarantined, State::Firing)]);
    world.is_held = Some(false);
    let told = world.steps(5, 0, 0);
    assert_eq!(told, [(Kind::Quarantined, State::Resolved)]);
}

#[test]
fn without_the_table_nothing_is_watched_or_kept() {
    let mut world = World::new();
    world.steps(4, 20, 0);
    world.settings = None;
    world.store.is_up = false;
    assert_eq!(world.steps(50, 0, 20), []);
    assert_eq!(world.board.watched().count(), 0);
    assert!(world.board.windows.is_empty());
}
