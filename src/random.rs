//! Randomness of the kernel's, drawn in advance: a call of it for every few bytes would be a tenth of what
//! passing a request on costs.

use std::cell::RefCell;

/// Bytes that the kernel is asked for at a time.
const DRAWN: usize = 1536;

/// Random bytes, and how many of them are not used yet. Each is given out once.
struct Drawn([u8; DRAWN], usize);

thread_local! {
    static RANDOM: RefCell<Drawn> = const { RefCell::new(Drawn([0; DRAWN], 0)) };
}

/// Random bytes, few at a time. `None` without a source of randomness.
pub fn bytes<const N: usize>() -> Option<[u8; N]> {
    const { assert!(N <= DRAWN) };
    RANDOM.with_borrow_mut(|Drawn(bytes, left)| {
        if *left < N {
            getrandom::fill(bytes).ok()?;
            *left = DRAWN;
        }
        *left -= N;
        bytes[*left..].first_chunk().copied()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_draws_are_alike_also_where_more_is_drawn_from_the_kernel() {
        let drawn = |_| bytes::<16>().expect("the kernel has randomness");
        let many = 3 * DRAWN / 16 + 1;
        assert_eq!((0..many).map(drawn).collect::<BTreeSet<_>>().len(), many);
    }
}
