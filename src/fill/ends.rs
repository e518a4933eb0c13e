//! What is kept, held against what was kept before it: where hits are verified, answers are remembered for that.

use crate::asked::Asked;
use crate::entry::Entry;
use crate::key::CacheKey;
use crate::likeness;
use crate::live::Live;
use crate::witness::{self, Answer, Fetched, Marked};
use std::sync::Arc;

/// Remembers what is kept now, and how what was kept before it ended. In the background: nobody waits for it, and the
/// end of this process does not either.
pub(super) fn note(live: &Arc<Live>, asked: &Arc<Asked>, key: &CacheKey, entry: &Arc<Entry>) {
    let (live, asked, entry) = (live.clone(), asked.clone(), entry.clone());
    let (binding, nodes) = (key.binding, key.nodes.clone());
    tokio::spawn(async move {
        let (witness, rule, table) = (&live.ground.witness, &asked.rule, &live.table);
        let restless = witness.restless(&rule.name);
        // What is restless and has parts cannot be left out without what else changes in it.
        let Some(body) = likeness::without(&entry.body, &restless) else {
            return;
        };
        let status = entry.status.as_u16().to_le_bytes();
        let own = entry.versions.get(..nodes.len()).unwrap_or_default();
        let now = Fetched {
            binding,
            said: witness::short([&status[..], &body]),
            restless: witness::short(restless.iter().map(String::as_bytes)),
            versions: witness::short_of(own),
            asked_at_ms: entry.kept_at.saturating_sub(entry.took.into()),
            kept_at_ms: entry.kept_at,
            ttl_ms: entry.ttl,
            by: live.is_of_a_role(rule).then(|| asked.person()).flatten(),
        };
        let marked = || Marked::of(table, rule, asked.segments(), &nodes);
        let answer = Answer {
            status: entry.status,
            body: entry.body.clone(),
        };
        witness.fetched((table, rule), (now, &answer), marked);
    });
}
