//! How many wrong tokens came from where, lately.

use crate::headers;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// For how long wrong tokens are counted: whoever mistypes has forgotten it by then.
const WINDOW_MS: u64 = 60_000;

/// Wrong tokens of one caller that are called wrong. A person does not mistype more often, and a tool
/// with an old token is the sooner looked at.
const MOST_OF_ONE: u32 = 10;

/// Callers that are told apart. With more of them, all others count as one: so much memory and so many
/// refusals in all (a thousand times ten) there are at most.
const MOST_CALLERS: usize = 1000;

/// The wrong tokens of this window.
#[derive(Default)]
pub(super) struct Failures {
    /// In milliseconds of Unix time.
    begun: u64,
    callers: HashMap<Caller, u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Caller {
    /// An address; of IPv6 the network, since a single host has the whole of it to choose from.
    At(IpAddr),
    /// By the socket.
    Local,
    /// Any of those who came when there was no more room.
    Other,
}

impl Failures {
    /// Counts one more. Where there were enough, for how long nothing more is said to this caller.
    pub(super) fn another(&mut self, peer: Option<IpAddr>, now: u64) -> Option<Duration> {
        // A clock that was set back ends the window too.
        if now
            .checked_sub(self.begun)
            .is_none_or(|past| past >= WINDOW_MS)
        {
            self.begun = now;
            self.callers.clear();
        }
        let mut caller = peer.map_or(Caller::Local, Caller::of);
        if self.callers.len() >= MOST_CALLERS && !self.callers.contains_key(&caller) {
            caller = Caller::Other;
        }
        let count = self.callers.entry(caller).or_default();
        *count = count.saturating_add(1);
        if *count == MOST_OF_ONE + 1 {
            // Once in a window, and not who: an address is a person's.
            tracing::warn!("wrong tokens at the admin door: more than {MOST_OF_ONE} by one caller");
        }
        let left = WINDOW_MS - (now - self.begun);
        (*count > MOST_OF_ONE).then(|| Duration::from_millis(left))
    }
}

impl Caller {
    fn of(peer: IpAddr) -> Caller {
        Caller::At(headers::network(peer.to_canonical()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    #[test]
    fn after_ten_a_caller_is_told_to_wait_until_the_window_ends_and_others_are_not() {
        let mut failures = Failures::default();
        let now = 1_000_000;
        for _ in 0..MOST_OF_ONE {
            assert_eq!(failures.another(peer("192.0.2.1"), now), None);
        }
        let wait = failures.another(peer("192.0.2.1"), now + 20_000);
        assert_eq!(wait, Some(Duration::from_secs(40)));
        assert_eq!(failures.another(peer("192.0.2.2"), now + 20_000), None);
        assert_eq!(failures.another(None, now + 20_000), None);
        assert_eq!(failures.another(peer("192.0.2.1"), now + WINDOW_MS), None);
    }

    #[test]
    fn a_clock_that_was_set_back_holds_nobody_up() {
        let mut failures = Failures::default();
        for _ in 0..=MOST_OF_ONE {
            failures.another(None, 2_000_000);
        }
        assert_eq!(failures.another(None, 1_000_000), None);
    }

    #[test]
    fn a_network_of_ipv6_is_one_caller_and_so_are_both_spellings_of_an_ipv4_address() {
        let mut failures = Failures::default();
        for last in 0..MOST_OF_ONE {
            let address = format!("2001:db8:0:1::{last:x}");
            assert_eq!(failures.another(peer(&address), 0), None);
            let address = ["192.0.2.1", "::ffff:192.0.2.1"][(last % 2) as usize];
            assert_eq!(failures.another(peer(address), 0), None);
        }
        assert!(failures.another(peer("2001:db8:0:1:ffff::"), 0).is_some());
        assert!(failures.another(peer("192.0.2.1"), 0).is_some());
        assert_eq!(failures.another(peer("2001:db8:0:2::"), 0), None);
    }

    #[test]
    fn however_many_fail_no_more_are_counted_than_there_is_room_for() {
        let mut failures = Failures::default();
        let mut called_wrong = 0;
        for number in 0..100_000_u32 {
            let address = IpAddr::from(number.to_be_bytes());
            called_wrong += u32::from(failures.another(Some(address), 0).is_none());
        }
        assert!(failures.callers.len() <= MOST_CALLERS + 1);
        assert_eq!(called_wrong, MOST_CALLERS as u32 + MOST_OF_ONE);
    }
}
