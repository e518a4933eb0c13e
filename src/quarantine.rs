//! Rules that pass everything, because their answers were seen to differ by who asks.
//!
//! The store holds the truth, one flag for each rule, that is read along with every look of a rule that
//! is audited: so the whole fleet passes from the moment it is set, and a release ends it everywhere.
//! What this process has seen last stands in while the store cannot be asked.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Audits at a time. Each asks the origin two to four times; more would be a load that nobody asked for.
const MAX_AUDITS: usize = 4;

/// What this process knows. It outlives a reload.
#[derive(Clone)]
pub struct Quarantine {
    rules: Arc<RwLock<HashSet<String>>>,
    audits: Arc<Semaphore>,
}

impl Default for Quarantine {
    fn default() -> Quarantine {
        Quarantine {
            rules: Arc::default(),
            audits: Arc::new(Semaphore::new(MAX_AUDITS)),
        }
    }
}

impl Quarantine {
    /// Whether the rule of this name was last seen in quarantine.
    pub fn holds(&self, rule: &str) -> bool {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        rules.contains(rule)
    }

    /// Takes over what the store says of a rule; true where that is news.
    pub fn learn(&self, rule: &str, is_held: bool) -> bool {
        if self.holds(rule) == is_held {
            return false;
        }
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        match is_held {
            true => rules.insert(rule.to_owned()),
            false => rules.remove(rule),
        }
    }

    /// Leave to audit; none while enough audits are under way.
    pub fn audit(&self) -> Option<OwnedSemaphorePermit> {
        self.audits.clone().try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_store_says_is_news_once() {
        let quarantine = Quarantine::default();
        assert!(!quarantine.learn("list", false) && !quarantine.holds("list"));
        assert!(quarantine.learn("list", true) && quarantine.holds("list"));
        assert!(!quarantine.learn("list", true) && !quarantine.holds("other"));
        assert!(quarantine.learn("list", false) && !quarantine.holds("list"));
    }

    #[test]
    fn audits_are_few_at_a_time() {
        let quarantine = Quarantine::default();
        let under_way: Vec<_> = (0..MAX_AUDITS).filter_map(|_| quarantine.audit()).collect();
        assert_eq!(under_way.len(), MAX_AUDITS);
        assert!(quarantine.audit().is_none());
        drop(under_way);
        assert!(quarantine.audit().is_some());
    }
}
