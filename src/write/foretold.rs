//! What a write would drop, for whoever asks before it is sent.

use super::drops::Drops;
use super::{Write, is_automatic};
use crate::inputs::plain_json;
use crate::rules::table::{Rule, Set};
use bytes::Bytes;
use hyper::Uri;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Who has something dropped for a write.
pub enum Cause {
    /// A set, by one of its lines.
    Set(Arc<Set>),
    /// A rule that keeps something for the write's path (RFC 9111 §4.4).
    Path(Arc<Rule>),
}

/// What one line drops.
pub struct Foretold {
    /// Who wants it.
    pub cause: Cause,
    /// The line.
    pub template: String,
    /// The store keys of the nodes. They are those that are known before the answer: what a line takes from
    /// the answer makes it as wide as it would be without.
    pub nodes: BTreeSet<String>,
    /// The rules whose answers it can name, by their position.
    pub rules: Vec<usize>,
}

/// What is asked for after a write.
pub struct Asks {
    /// The set that has it asked for.
    pub set: Arc<Set>,
    /// The path, as it is written there.
    pub template: String,
    /// What it comes to, as far as that is known before the answer.
    pub target: Option<Uri>,
}

impl Write {
    /// What would be asked for afterwards if it were answered as done. `body` is its whole body.
    pub fn foretold_warm(&self, body: Option<&Bytes>) -> Vec<Asks> {
        let document = body.and_then(|bytes| plain_json(&self.parts.headers, bytes));
        let claims = self.claims();
        let drops = Drops {
            write: self,
            document: document.as_ref(),
            claims: claims.as_ref(),
        };
        let sets = self.sets();
        let asks = sets.iter().flat_map(|(set, captures)| {
            let warm = drops.warm_of(set, captures, None);
            warm.into_iter().zip(&set.warm).map(|(warm, path)| Asks {
                set: warm.set,
                template: path.to_string(),
                target: warm.target,
            })
        });
        asks.collect()
    }

    /// Whether this body is one of which lines can take something.
    pub fn reads(&self, body: &Bytes) -> bool {
        plain_json(&self.parts.headers, body).is_some()
    }

    /// What it would drop if it were answered as done. `body` is its whole body.
    pub fn foretold(&self, body: Option<&Bytes>) -> Vec<Foretold> {
        let document = body.and_then(|bytes| plain_json(&self.parts.headers, bytes));
        let claims = self.claims();
        let drops = Drops {
            write: self,
            document: document.as_ref(),
            claims: claims.as_ref(),
        };
        let sets = self.sets();
        let listed = sets.iter().flat_map(|(set, captures)| {
            set.drops.iter().map(|drop| Foretold {
                cause: Cause::Set((*set).clone()),
                template: drop.template.to_string(),
                nodes: drops.nodes_of(drop, captures, None),
                rules: drop.rules.clone(),
            })
        });
        let table = &self.live.table;
        let kept = match is_automatic(table, &self.methods) {
            true => table.kept_at(self.parts.uri.path()),
            false => Vec::new(),
        };
        let automatic = kept.iter().map(|matched| {
            let drop = &table.auto_drops[matched.what.index];
            Foretold {
                cause: Cause::Path(matched.what.clone()),
                template: drop.template.to_string(),
                nodes: drops.nodes_of(drop, &matched.captures, None),
                rules: drop.rules.clone(),
            }
        });
        listed.chain(automatic).collect()
    }
}
