//! Whether an alert fires, so that it does not come and go.
//!
//! It fires as soon as its threshold is crossed: the window is what smooths the value. It ends when the value
//! has stayed on the good side of a margin for a while. So a value that swings about the threshold fires
//! once, and one that swings wider changes nothing more often than every [`CALM_STEPS`].

use crate::stats::STEP;
use std::time::Duration;

/// For so many steps in a row all must be well before an alert ends: half a minute, in which whoever was
/// called does not mind to be told a little later.
pub(super) const CALM_STEPS: u32 = 3;

/// By how much a hit rate must be above its threshold to be well, if there is room for that below 1.
const RATE_MARGIN: f64 = 0.05;

/// What share of its threshold a percentile may be to be well. Buckets of histograms are wider than that, so a
/// smaller margin would be within what they tell.
const P99_CALM: f64 = 0.8;

/// What a step has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// The threshold is crossed.
    Bad,
    /// It is not, but all is not well either.
    Between,
    /// All is well, and by a margin.
    Well,
    /// Nothing can be said: there was too little of it.
    Unknown,
    /// Nothing can be said yet: it was not seen for long enough.
    Unseen,
}

impl Judged {
    /// Of a share that is not to be below a threshold.
    pub(super) fn rate(rate: Option<f64>, threshold: f64) -> Judged {
        // Halfway to 1 can always be reached.
        let well = (threshold + RATE_MARGIN).min((1.0 + threshold) / 2.0);
        match rate {
            None => Judged::Unknown,
            Some(rate) if rate < threshold => Judged::Bad,
            Some(rate) if rate < well => Judged::Between,
            Some(_) => Judged::Well,
        }
    }

    /// Of a time that is not to be above a threshold.
    pub(super) fn p99(time: Option<f64>, threshold: f64) -> Judged {
        match time {
            None => Judged::Unknown,
            Some(time) if time > threshold => Judged::Bad,
            Some(time) if time > threshold * P99_CALM => Judged::Between,
            Some(_) => Judged::Well,
        }
    }

    /// Of a state that is bad once it has lasted.
    pub(super) fn lasting(lasted: Option<Duration>, threshold: Duration) -> Judged {
        match lasted {
            None => Judged::Well,
            Some(lasted) if lasted < threshold => Judged::Between,
            Some(_) => Judged::Bad,
        }
    }
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The alert begins.
    Fires,
    /// The alert ends.
    Ends,
}

/// Whether an alert is firing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hysteresis {
    pub(super) is_firing: bool,
    /// Steps in a row in which all was well.
    calm: u32,
    /// Steps in a row in which nothing could be said.
    silent: u128,
}

impl Hysteresis {
    /// One step further. What cannot be judged neither fires nor ends at once: an alert ends when nothing could
    /// be said of it for as long as a whole window.
    pub(super) fn step(&mut self, judged: Judged, window: Duration) -> Option<Change> {
        if !self.is_firing {
            self.is_firing = judged == Judged::Bad;
            (self.calm, self.silent) = (0, 0);
            return self.is_firing.then_some(Change::Fires);
        }
        match judged {
            Judged::Unknown => self.silent += 1,
            Judged::Unseen => {}
            Judged::Well => (self.calm, self.silent) = (self.calm + 1, 0),
            Judged::Bad | Judged::Between => (self.calm, self.silent) = (0, 0),
        }
        let is_over =
            self.calm >= CALM_STEPS || self.silent * STEP.as_millis() >= window.as_millis();
        self.is_firing = !is_over;
        is_over.then_some(Change::Ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn changes(judged: impl IntoIterator<Item = Judged>) -> Vec<Change> {
        let mut hysteresis = Hysteresis::default();
        let steps = judged.into_iter();
        steps
            .filter_map(|judged| hysteresis.step(judged, WINDOW))
            .collect()
    }

    #[test]
    fn an_alert_fires_at_once_and_ends_after_some_calm() {
        let mut hysteresis = Hysteresis::default();
        let mut step = |judged| hysteresis.step(judged, WINDOW);
        assert_eq!(step(Judged::Well), None);
        assert_eq!(step(Judged::Bad), Some(Change::Fires));
        assert_eq!(step(Judged::Bad), None);
        for _ in 1..CALM_STEPS {
            assert_eq!(step(Judged::Well), None);
        }
        assert_eq!(step(Judged::Between), None, "the calm begins anew");
        for _ in 1..CALM_STEPS {
            assert_eq!(step(Judged::Well), None);
        }
        assert_eq!(step(Judged::Well), Some(Change::Ends));
        assert_eq!(step(Judged::Between), None);
    }

    #[test]
    fn silence_fires_nothing_and_ends_an_alert_after_a_whole_window() {
        assert_eq!(changes([Judged::Unknown; 100]), []);
        let steps = (WINDOW.as_secs() / STEP.as_secs()) as usize;
        let silent = |steps| {
            [Judged::Bad]
                .into_iter()
                .chain([Judged::Unknown].repeat(steps))
        };
        assert_eq!(changes(silent(steps - 1)), [Change::Fires]);
        assert_eq!(changes(silent(steps)), [Change::Fires, Change::Ends]);
    }

    #[test]
    fn thresholds_are_not_crossed_by_what_equals_them_and_any_can_be_left() {
        assert_eq!(Judged::rate(Some(0.5), 0.5), Judged::Between);
        assert_eq!(Judged::rate(Some(0.4999), 0.5), Judged::Bad);
        assert_eq!(Judged::rate(Some(0.551), 0.5), Judged::Well);
        assert_eq!(Judged::rate(Some(1.0), 0.999), Judged::Well);
        assert_eq!(Judged::p99(Some(100.0), 100.0), Judged::Between);
        assert_eq!(Judged::p99(Some(100.1), 100.0), Judged::Bad);
        assert_eq!(Judged::p99(Some(80.0), 100.0), Judged::Well);
        let lasting = |seconds| Judged::lasting(seconds, Duration::from_secs(30));
        assert_eq!(lasting(None), Judged::Well);
        assert_eq!(lasting(Some(Duration::from_secs(29))), Judged::Between);
        assert_eq!(lasting(Some(Duration::from_secs(30))), Judged::Bad);
    }

    // Proptest prints what fails, and the seed that brings it back.
    proptest! {
        #[test]
        fn a_value_that_swings_about_the_threshold_fires_once(
            threshold in 0.01..0.99_f64,
            swings in prop::collection::vec(-1.0..1.0_f64, 1..500),
        ) {
            let well = (threshold + RATE_MARGIN).min((1.0 + threshold) / 2.0);
            let rates = swings.iter().map(|swing| match *swing < 0.0 {
                true => threshold * (1.0 + swing),
                false => threshold + (well - threshold) * swing,
            });
            let judged = rates.map(|rate| Judged::rate(Some(rate), threshold));
            prop_assert!(changes(judged).len() <= 1);
        }

        #[test]
        fn nothing_changes_more_often_than_calm_takes(
            all in prop::collection::vec(0..4_u8, 1..500),
        ) {
            let steps = all.len();
            let judged = all.into_iter().map(|drawn| match drawn {
                0 => Judged::Bad,
                1 => Judged::Between,
                2 => Judged::Well,
                _ => Judged::Unknown,
            });
            prop_assert!(changes(judged).len() <= 2 * steps / (CALM_STEPS as usize + 1) + 2);
        }
    }
}
