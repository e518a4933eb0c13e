//! A value that never shows itself: it prints as `***` in logs, errors and debug output, and its
//! memory is overwritten at its end.
//!
//! That is as far as it goes. What copies it without knowing leaves copies behind: the environment that a
//! variable was read from, a connection's buffers, the libraries that are given a password or a key to
//! use, and the stack where a value was moved. So the process is not dumped either (`cli`).

use std::fmt;
use zeroize::Zeroize;

/// Holds something secret. [`Secret::reveal`] is the only way to read it, so its uses can be found.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Secret<T> {
        Secret(value)
    }

    /// The value itself. Whoever calls this promises not to print it.
    pub fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<T: Zeroize> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Tells when it is overwritten.
    struct Watched<'c>(&'c Cell<u32>);

    impl Zeroize for Watched<'_> {
        fn zeroize(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn a_secret_is_overwritten_when_it_is_dropped_and_never_printed() {
        let overwritten = Cell::new(0);
        let secret = Secret::new(Watched(&overwritten));
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(overwritten.get(), 0);
        drop(secret);
        assert_eq!(overwritten.get(), 1);
    }
}
