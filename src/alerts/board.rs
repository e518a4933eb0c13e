//! All that is watched, and what of it is firing now.

use super::alert::{Alert, Kind, State};
use super::hysteresis::{Change, Hysteresis, Judged};
use super::window::{Counted, Span, Window};
use crate::metrics::UNRULED;
use crate::rules::settings::AlertSettings;
use crate::rules::units::written;
use crate::stats::STEP;
use std::collections::BTreeMap;
use std::time::Duration;

/// A store that is down is told of after so long. Restarts and failovers are over by then.
const DOWN_FOR: Duration = Duration::from_secs(30);

/// So are invalidations that are owed: until they are paid others may answer from before a write.
const OWED_FOR: Duration = Duration::from_secs(60);

/// How things are at a step.
pub(super) struct Seen<'s> {
    /// Milliseconds of Unix time.
    pub(super) at: u64,
    /// The settings in force.
    pub(super) settings: Option<&'s AlertSettings>,
    /// The rules that answer.
    pub(super) rules: Vec<SeenRule<'s>>,
    /// Of a store that is somewhere else.
    pub(super) store: Option<SeenStore>,
}

/// How a rule is.
pub(super) struct SeenRule<'s> {
    pub(super) name: &'s str,
    pub(super) counted: Counted,
    /// Whether it is in quarantine; nothing where it never can be.
    pub(super) is_held: Option<bool>,
}

/// How the store is.
#[derive(Clone, Copy)]
pub(super) struct SeenStore {
    pub(super) is_up: bool,
    pub(super) owed: usize,
}

/// What is watched. Nothing of it outlives the process.
#[derive(Default)]
pub(super) struct Board {
    span: Option<Span>,
    /// By rule, each with the step at which it was there last.
    windows: BTreeMap<String, (u64, Window)>,
    watched: BTreeMap<(String, Kind), Watch>,
    step: u64,
}

/// One thing that is watched.
#[derive(Default)]
struct Watch {
    hysteresis: Hysteresis,
    /// As it was told last, with the latest value.
    alert: Option<Alert>,
    /// At which step a state began. Steps are counted because no clock of Unix time can be set back or ahead in them.
    since: Option<u64>,
    /// When it was looked at last.
    step: u64,
}

impl Watch {
    /// Nobody looks any more.
    fn ended(&self, at: u64) -> Option<Alert> {
        let alert = self.alert.clone()?;
        Some(Alert {
            state: State::Resolved,
            value: None,
            at,
            ..alert
        })
    }
}

/// What was found of one thing.
struct Finding {
    judged: Judged,
    value: Option<f64>,
    threshold: f64,
}

/// What a step has changed.
#[derive(Default)]
pub(super) struct Changes {
    /// To be told, in this order.
    pub(super) alerts: Vec<Alert>,
    /// What is watched no longer.
    pub(super) gone: Vec<(String, Kind)>,
}

impl Board {
    /// One step further. What was watched and is no more, because its rule or its threshold is gone, ends.
    pub(super) fn step(&mut self, seen: &Seen<'_>) -> Changes {
        self.step += 1;
        let mut changes = Changes::default();
        match seen.settings {
            Some(settings) => self.watch(seen, settings, &mut changes.alerts),
            None => (self.span, self.windows) = (None, BTreeMap::new()),
        }
        let step = self.step;
        self.windows.retain(|_, (last, _)| *last == step);
        self.watched.retain(|thing, watch| {
            let is_watched = watch.step == step;
            if !is_watched {
                changes.alerts.extend(watch.ended(seen.at));
                changes.gone.push(thing.clone());
            }
            is_watched
        });
        changes
    }

    fn watch(&mut self, seen: &Seen<'_>, settings: &AlertSettings, alerts: &mut Vec<Alert>) {
        let span = Span::of(settings.window);
        if self.span != Some(span) {
            (self.span, self.windows) = (Some(span), BTreeMap::new());
        }
        for rule in &seen.rules {
            let (step, window) = self.windows.entry(rule.name.to_owned()).or_default();
            *step = self.step;
            let came = window.step(span, rule.counted);
            for (kind, finding) in judged(settings, came) {
                alerts.extend(self.find((rule.name, kind), finding, (settings, seen.at)));
            }
            if let Some(is_held) = rule.is_held {
                let state = (is_held, Duration::ZERO);
                let thing = (rule.name, Kind::Quarantined);
                alerts.extend(self.find_state(thing, state, (settings, seen.at)));
            }
        }
        if let Some(store) = seen.store {
            let down = ((UNRULED, Kind::StoreDown), (!store.is_up, DOWN_FOR));
            let owed = ((UNRULED, Kind::Owed), (store.owed > 0, OWED_FOR));
            for (thing, state) in [down, owed] {
                alerts.extend(self.find_state(thing, state, (settings, seen.at)));
            }
        }
    }

    /// A state that is told of once it has lasted for some time.
    fn find_state(
        &mut self,
        (rule, kind): (&str, Kind),
        (is_so, threshold): (bool, Duration),
        (settings, at): (&AlertSettings, u64),
    ) -> Option<Alert> {
        let watch = self.watched.entry((rule.to_owned(), kind)).or_default();
        watch.since = is_so.then(|| watch.since.unwrap_or(self.step));
        let steps = watch.since.map(|since| self.step - since);
        let lasted = steps.map(|steps| STEP * u32::try_from(steps).unwrap_or(u32::MAX));
        let finding = Finding {
            judged: Judged::lasting(lasted, threshold),
            value: Some(lasted.unwrap_or_default().as_secs_f64().round()),
            threshold: threshold.as_secs_f64(),
        };
        self.find((rule, kind), finding, (settings, at))
    }

    /// Takes over what was found, and says what is to be told of it.
    fn find(
        &mut self,
        (rule, kind): (&str, Kind),
        finding: Finding,
        (settings, at): (&AlertSettings, u64),
    ) -> Option<Alert> {
        let watch = self.watched.entry((rule.to_owned(), kind)).or_default();
        watch.step = self.step;
        let alert = |state| Alert {
            rule: rule.to_owned(),
            kind,
            state,
            value: finding.value,
            threshold: finding.threshold,
            window: kind.has_window().then(|| written(settings.window)),
            at,
        };
        match watch.hysteresis.step(finding.judged, settings.window) {
            Some(Change::Fires) => {
                watch.alert = Some(alert(State::Firing));
                watch.alert.clone()
            }
            Some(Change::Ends) => {
                watch.alert = None;
                Some(alert(State::Resolved))
            }
            None => {
                if let Some(firing) = &mut watch.alert {
                    let (since, value) = (firing.at, finding.value.or(firing.value));
                    *firing = alert(State::Firing);
                    (firing.at, firing.value) = (since, value);
                }
                None
            }
        }
    }

    /// What is firing now, each with its latest value and when it began.
    pub(super) fn firing(&self) -> Vec<Alert> {
        let alerts = self.watched.values().map(|watch| watch.alert.clone());
        alerts.flatten().collect()
    }

    /// All that is watched, and whether it is firing.
    pub(super) fn watched(&self) -> impl Iterator<Item = (&str, Kind, bool)> {
        let watched = self.watched.iter();
        watched.map(|((rule, kind), watch)| (rule.as_str(), *kind, watch.alert.is_some()))
    }
}

/// What came within the window, held against the thresholds that there are.
fn judged(
    settings: &AlertSettings,
    came: Option<Counted>,
) -> impl Iterator<Item = (Kind, Finding)> + use<> {
    let least = settings.min_requests;
    let seen = came.is_none().then_some(Judged::Unseen);
    let rate = settings.hit_rate_below.map(|threshold| {
        let value = came.and_then(|came| came.hit_rate(least));
        let finding = Finding {
            judged: seen.unwrap_or_else(|| Judged::rate(value, threshold)),
            value: value.map(|value| rounded(value, 10_000.0)),
            threshold,
        };
        (Kind::HitRate, finding)
    });
    let p99 = settings.p99_above.map(|threshold| {
        let threshold = threshold.as_secs_f64() * 1000.0;
        let value = came.and_then(|came| came.p99(least));
        let finding = Finding {
            judged: seen.unwrap_or_else(|| Judged::p99(value, threshold)),
            value: value.map(|value| rounded(value, 100.0)),
            threshold,
        };
        (Kind::P99, finding)
    });
    rate.into_iter().chain(p99)
}

/// No more digits than mean something.
fn rounded(value: f64, digits: f64) -> f64 {
    (value * digits).round() / digits
}

#[cfg(test)]
mod tests;
