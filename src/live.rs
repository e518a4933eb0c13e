//! What is in force: the compiled rules, and what they are carried out with. A reload makes a new
//! one; requests under way finish with the one they began with.

use crate::body::Body;
use crate::clock::Clock;
use crate::flights::Fills;
use crate::headers;
use crate::identity::Verifier;
use crate::key;
use crate::metrics::Metrics;
use crate::origin::{Failure, Origin};
use crate::rules::table::Table;
use crate::store::Store;
use crate::vary::LearntVary;
use arc_swap::ArcSwap;
use hyper::{Request, Response};
use std::sync::Arc;
use std::time::Instant;
use tokio_util::task::TaskTracker;

/// What outlives a reload.
#[derive(Clone)]
pub struct Ground {
    /// Where answers and versions are kept.
    pub store: Store,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What the time is taken to be.
    pub clock: Clock,
    /// Work that must finish although its client left: fills and writes.
    pub tasks: TaskTracker,
    /// Which rules are in force.
    pub in_force: Arc<ArcSwap<InForce>>,
}

/// What a write that began under older rules has to know of those in force.
#[derive(Debug, Default)]
pub struct InForce {
    /// Counts the rules that came into force.
    serial: u64,
    /// Nodes that between them stand above all that is kept.
    shallow: Vec<String>,
}

/// The rules in force and what belongs to them alone.
pub struct Live {
    /// The rules.
    pub table: Table,
    /// The client to the origin.
    pub origin: Origin,
    /// Made of `[identity] verify`.
    pub verifier: Option<Verifier>,
    /// By rule: the headers that its answers were seen to vary by.
    pub vary: Vec<LearntVary>,
    /// The fetches under way.
    pub fills: Arc<Fills>,
    /// What outlives these rules.
    pub ground: Ground,
    serial: u64,
}

impl Live {
    /// Puts a table in force.
    ///
    /// # Errors
    /// What of the settings cannot be carried out, and why.
    pub fn new(table: Table, ground: Ground) -> Result<Live, String> {
        let origin = Origin::new(&table.proxy).map_err(|error| error.to_string())?;
        let identity = table.identity.as_ref();
        let verifier = identity
            .and_then(|identity| {
                identity
                    .verify
                    .as_ref()
                    .map(|verify| Verifier::new(verify, identity.leeway))
            })
            .transpose()?;
        let vary = table
            .rules
            .iter()
            .map(|rule| LearntVary::new(&rule.vary))
            .collect();
        let serial = ground.in_force.load().serial + 1;
        Ok(Live {
            serial,
            origin,
            verifier,
            vary,
            fills: Arc::default(),
            table,
            ground,
        })
    }

    /// Says that these rules are in force; to be called before any request meets them.
    pub fn come_into_force(&self) {
        self.ground.in_force.store(Arc::new(InForce {
            serial: self.serial,
            shallow: key::shallow_nodes(&self.table),
        }));
    }

    /// What a write under these rules has to drop beside what they name. A write that outlives its
    /// rules cannot tell which nodes the present ones track, so it drops all of them.
    pub fn outlived(&self) -> Vec<String> {
        let present = self.ground.in_force.load();
        match present.serial == self.serial {
            true => Vec::new(),
            false => present.shallow.clone(),
        }
    }

    /// Asks the origin on behalf of a rule, counted; the answer comes without hop-by-hop headers.
    ///
    /// # Errors
    /// What went wrong, and whether the origin may have acted.
    pub async fn ask(&self, request: Request<Body>, rule: &str) -> Result<Response<Body>, Failure> {
        let begun = Instant::now();
        let answer = self.origin.ask(request).await;
        let took = begun.elapsed().as_secs_f64();
        match &answer {
            Ok(response) => {
                self.ground
                    .metrics
                    .origin_answered(rule, response.status().as_u16(), took)
            }
            Err(_) => self.ground.metrics.origin_failed(rule, took),
        }
        answer.map(|mut response| {
            headers::remove_hop_by_hop(response.headers_mut());
            response
        })
    }
}
