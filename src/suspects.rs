//! Which writes make which kept answers stale: what was seen of them, and what follows from it. Pure.

use std::sync::Arc;

/// A value that is compared and never shown: a digest of a part of a key or of a write.
pub type Mark = u64;

/// A write that was answered as done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// When its answer was there, in milliseconds of Unix time.
    pub at_ms: u64,
    /// Its route, as `on` would have it: `PATCH /api/v1/doctor/{id}`.
    pub route: String,
    /// What a drop could name by it, each as the placeholder that stands for it: `{id}`, `{body.doctorId}`,
    /// `{response.data.id}`, `{claims.email}`.
    pub parts: Vec<(String, Mark)>,
}

/// A kept answer that was held against what the origin says now.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The name of its rule.
    pub rule: String,
    /// The segments of its key, without the namespace.
    pub segments: Vec<Mark>,
    /// Whether the origin says something else.
    pub is_stale: bool,
    /// The writes between its fill and now.
    pub writes: Vec<Arc<Write>>,
}
