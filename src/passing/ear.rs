//! An answer's body while it passes: its mark is made of the chunks as they go by, and a small one is copied, to be
//! looked into once it has passed.

use super::Passing;
use crate::body::Listener;
use crate::digest::Digester;
use crate::propose::{Good, Marks, Sight};
use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;

/// Bytes of which a mark is made: longer answers are not kept, unless `max_entry` says so.
const MAX_MARKED: usize = 1 << 20;

/// Longest answer that is looked into. There is something in a longer one.
const MAX_LOOKED_INTO: usize = 64 << 10;

/// Listens to the body of a good answer.
pub(super) struct Ear {
    passing: Passing,
    share: f64,
    sight: Sight,
    mark: Digester,
    length: usize,
    copy: BytesMut,
    /// As long as a copy is made.
    leave: Option<OwnedSemaphorePermit>,
}

impl Ear {
    pub(super) fn new(passing: Passing, marks: &Marks, share: f64, sight: Sight) -> Ear {
        Ear {
            leave: passing.copy().filter(|_| !sight.is_packed()),
            mark: marks.begin("answer"),
            passing,
            share,
            sight,
            length: 0,
            copy: BytesMut::new(),
        }
    }

    /// What it was, all of it having come.
    fn good(&self, copy: Option<&Bytes>) -> Good {
        let mark = self.mark.finish();
        match copy {
            Some(copy) => Good::looked_into(mark, copy),
            // That two are the same as far as was looked does not say that they are the same; nor has one that could
            // not be looked into something in it.
            None => Good {
                body: mark,
                is_hollow: self.length > MAX_MARKED
                    || (self.length <= MAX_LOOKED_INTO && !self.sight.is_packed()),
                has_data: None,
            },
        }
    }
}

impl Listener for Ear {
    fn hear(&mut self, came: &[u8]) {
        let marked = MAX_MARKED.saturating_sub(self.length).min(came.len());
        self.mark.piece(&came[..marked]);
        self.length += came.len();
        match self.length <= MAX_LOOKED_INTO {
            true if self.leave.is_some() => self.copy.extend_from_slice(came),
            true => {}
            false => (self.copy, self.leave) = (BytesMut::new(), None),
        }
    }

    fn end(mut self: Box<Ear>, is_whole: bool) {
        if !is_whole {
            self.sight.ended(self.length, None);
            self.passing.remember(self.share, self.sight);
            return;
        }
        let look_into = async move {
            if self.length > MAX_MARKED {
                self.mark.piece(&self.length.to_le_bytes());
            }
            let copy = std::mem::take(&mut self.copy).freeze();
            let good = self.good(self.leave.as_ref().map(|_| &copy));
            self.sight.ended(self.length, Some(good));
            self.passing.remember(self.share, self.sight);
        };
        // After the client has it; at the end of a runtime nobody asks any more.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(look_into);
        }
    }
}
