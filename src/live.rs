//! What is in force: the compiled rules, and what they are carried out with. A reload makes a new
//! one; requests under way finish with the one they began with.

mod failures; // of the origin, in the log

use crate::alerts::Alerts;
use crate::body::Body;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::flights::Fills;
use crate::headers;
use crate::identity::Verifier;
use crate::jwks::Issuers;
use crate::key;
use crate::metrics::{LimitMetrics, Metrics, RuleMetrics};
use crate::origin::{Failure, FailureKind, Origin};
use crate::passing::Passing;
use crate::quarantine::Quarantine;
use crate::rules::settings::{IdentitySettings, StoreUrl, VerifyKey};
use crate::rules::table::{Coalesce, Rule, Stage, Table, Ttl};
use crate::rules::template::Source;
use crate::stats::Stats;
use crate::store::{Opening, Root, Store};
use crate::targets::{Target, Targets};
use crate::trace::{Trace, Tracer, Work};
use crate::vary::LearntVary;
use crate::warming::Warming;
use crate::witness::Witness;
pub use failures::Failures;
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, header};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio_util::task::TaskTracker;

/// By these an origin, or what is before it, says that it has too much to do, or does not answer.
const IN_TROUBLE: [u16; 4] = [429, 502, 503, 504];

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
    /// The rules that pass everything.
    pub quarantine: Quarantine,
    /// The keys of those who sign tokens.
    pub issuers: Issuers,
    /// How far the store may be asked.
    pub budget: Budget,
    /// What it did.
    pub stats: Stats,
    /// What somebody should look at.
    pub alerts: Alerts,
    /// Whom spans are told.
    pub tracer: Tracer,
    /// What the log said of the origin's failures.
    pub failures: Arc<Failures>,
    /// What was seen of writes and of stale answers.
    pub witness: Witness,
    /// What was seen of requests that no rule is there for.
    pub passing: Passing,
    /// What is asked for after writes.
    pub warming: Warming,
}

/// The root as entries under these rules see it.
pub fn root_of(table: &Table) -> Root {
    Root::new(key::root_node(&table.namespace), table.layout)
}

/// The rules in force and what belongs to them alone.
pub struct Live {
    /// The rules.
    pub table: Table,
    /// The client to the origin.
    pub origin: Origin,
    /// Made of `[identity] verify`.
    pub verifier: Option<Verifier>,
    /// What was worked out of targets before.
    pub targets: Targets,
    /// By rule: the headers that its answers were seen to vary by.
    pub vary: Vec<LearntVary>,
    /// By rule: whether people share its answers who are not anybody.
    of_a_role: Vec<bool>,
    /// By rule: what is counted of it.
    pub counted: Vec<Arc<RuleMetrics>>,
    /// By limit: what is counted of it.
    pub limited: Vec<Arc<LimitMetrics>>,
    /// The node that is dropped along with whichever group is; none where these rules know of no groups.
    pub any_group: Option<String>,
    /// The fetches under way.
    pub fills: Arc<Fills>,
    /// Since when these rules are in force, in milliseconds of Unix time.
    pub since_ms: u64,
    /// When others were refused last while these were in force; 0 for never.
    refused_at: AtomicU64,
    /// What outlives these rules.
    pub ground: Ground,
}

impl Live {
    /// Makes what a table is carried out with. It sees the store as its own layout does. Requests under
    /// way with the rules from before a reload keep their view of it, as if they were another sidecar's:
    /// neither finds the other's entries, and a write of theirs drops ours, as ours drops theirs. So the
    /// first write after a reload drops everything once, where anything of the old rules was kept.
    ///
    /// # Errors
    /// What of the settings cannot be carried out, and why.
    pub fn new(table: Table, mut ground: Ground) -> Result<Live, String> {
        let origin = Origin::new(&table.proxy).map_err(|error| error.to_string())?;
        let verifier = verifier(table.identity.as_ref(), &ground.issuers)?;
        let vary = table
            .rules
            .iter()
            .map(|rule| LearntVary::new(&rule.vary, rule.ttl == Ttl::Origin))
            .collect();
        let role = table.identity.as_ref();
        let role = role.map_or("role", |settings| settings.role.as_str());
        let of_a_role = table.rules.iter().map(|rule| is_of_a_role(rule, role));
        let of_a_role = of_a_role.collect();
        let rules = table.rules.iter();
        let counted: Vec<_> = rules.map(|rule| ground.metrics.rule(&rule.name)).collect();
        let now = ground.clock.now_ms();
        for (rule, counted) in table.rules.iter().zip(&counted) {
            counted.in_force(rule.stage == Stage::On, now);
        }
        let limits = table.limits.iter();
        let limited = limits
            .map(|limit| ground.metrics.limit(&limit.name))
            .collect();
        ground.store = ground.store.under(root_of(&table));
        Ok(Live {
            origin,
            verifier,
            vary,
            of_a_role,
            counted,
            limited,
            fills: Arc::default(),
            since_ms: now,
            refused_at: AtomicU64::default(),
            targets: Targets::default(),
            any_group: key::any_group_node_of(&table),
            table,
            ground,
        })
    }

    /// What a table would be carried out with, for a process that serves nobody: nothing is connected to, and
    /// nothing is kept but in memory.
    ///
    /// Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// As for [`Live::new`].
    pub fn apart(mut table: Table) -> Result<Live, String> {
        table.store.url = StoreUrl::Memory;
        let (metrics, clock) = (Arc::new(Metrics::new()), Clock::default());
        let store = Store::open(Opening {
            settings: &table.store,
            local: &table.local,
            node_ttl: table.longest_ttl(),
            namespace: &table.namespace,
            root: root_of(&table),
            channel: key::drops_channel(&table.namespace),
            clock: clock.clone(),
            metrics: metrics.clone(),
        });
        let ground = Ground {
            store: store.map_err(|error| error.to_string())?,
            alerts: Alerts::new(&metrics),
            metrics,
            budget: Budget::default(),
            stats: Stats::new(&clock),
            tracer: Tracer::default(),
            failures: Arc::default(),
            witness: Witness::default(),
            passing: Passing::default(),
            warming: Warming::default(),
            clock,
            tasks: TaskTracker::new(),
            quarantine: Quarantine::default(),
            issuers: Issuers::default(),
        };
        Live::new(table, ground)
    }

    /// What was worked out before of the target of a request, if that is a GET.
    pub fn recall(&self, parts: &Parts) -> Option<Arc<Target>> {
        let path_and_query = parts.uri.path_and_query()?.as_str();
        let is_get = parts.method == Method::GET;
        is_get.then(|| self.targets.recall(path_and_query))?
    }

    /// Whether answers of a rule are held against what others get, and it passes everything where they differ: those of
    /// a public one with a credential and without, those that a role shares where hits are verified.
    pub fn is_audited(&self, rule: &Rule) -> bool {
        match rule.public {
            true => self.table.audit.leak > 0.0,
            false => self.verifies() && self.is_of_a_role(rule),
        }
    }

    /// Whether several people share what a rule keeps because they have the same role, or the like.
    pub fn is_of_a_role(&self, rule: &Rule) -> bool {
        self.of_a_role[rule.index]
    }

    /// Whether hits are held against the origin, and writes are remembered for it.
    pub fn verifies(&self) -> bool {
        self.table.audit.verify > 0.0
    }

    /// What passes is looked at as these rules say from now on.
    pub fn begin_to_look(&self) {
        let Ground { passing, clock, .. } = &self.ground;
        passing.begin(self.table.audit.propose, clock.now_ms());
    }

    /// The origin is asked nothing for a while that no client wants, where it is in trouble.
    fn spare_if(&self, is_troubled: bool) {
        if is_troubled {
            let now = self.ground.clock.now_ms();
            self.ground.witness.pace().trouble(now);
        }
    }

    /// Whether a rule is to pass everything.
    pub fn holds(&self, rule: &Rule) -> bool {
        self.is_audited(rule) && self.ground.quarantine.holds(&rule.name)
    }

    /// Takes over what the store says of a rule, and says it where it is news.
    pub fn hear_of_quarantine(&self, rule: &str, is_flagged: bool) {
        if self.ground.quarantine.learn(rule, is_flagged) {
            match is_flagged {
                true => tracing::error!(rule, "in quarantine: it passes everything"),
                false => tracing::warn!(rule, "no longer in quarantine"),
            }
        }
    }

    /// Whether fetches by a rule are claimed for the fleet.
    pub fn claims(&self, rule: &Rule) -> bool {
        rule.coalesce == Coalesce::Fleet && self.ground.budget.claims()
    }

    /// Something that the rule at this position may keep is dropped now.
    pub fn dropped(&self, rule: usize) {
        self.counted[rule].dropped(self.ground.clock.now_ms());
    }

    /// Other rules were to take the place of these now, and could not.
    pub fn stays(&self) {
        let now = self.ground.clock.now_ms();
        self.refused_at.store(now, Ordering::Relaxed);
    }

    /// When a reload was refused last since these rules are in force, in milliseconds of Unix time.
    pub fn refused_at_ms(&self) -> Option<u64> {
        Some(self.refused_at.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }

    /// Where what happens by a rule is counted, or what no rule is for.
    pub fn counts(&self, rule: Option<&Rule>) -> &RuleMetrics {
        match rule {
            Some(rule) => &self.counted[rule.index],
            None => self.ground.metrics.unruled(),
        }
    }

    /// Asks the origin on behalf of a rule, counted, as part of a trace, which the request bears from here on;
    /// the answer comes without hop-by-hop headers, but for the protocol that it changes to, or wants to be
    /// asked in.
    ///
    /// # Errors
    /// What went wrong, and whether the origin may have acted.
    pub fn ask(
        &self,
        mut request: Request<Body>,
        rule: Option<&Rule>,
        trace: Trace,
    ) -> impl Future<Output = Result<Response<Body>, Failure>> {
        let begun = Instant::now();
        let mut span = self.ground.tracer.part(Some(&trace), Work::Origin);
        span.note(|facts| facts.asks(request.method()));
        let trace = span.trace().unwrap_or(trace); // the origin's work is part of the asking
        trace.onto(request.headers_mut());
        let asking = self.origin.ask(request);
        async move {
            let answer = asking.await;
            let (counts, took) = (self.counts(rule), begun.elapsed());
            match &answer {
                Ok(response) => {
                    let status = response.status();
                    counts.origin_answered(status, took);
                    span.note(|facts| facts.answered(status));
                    self.spare_if(IN_TROUBLE.contains(&status.as_u16()));
                }
                Err(failure) => {
                    counts.origin_failed(took);
                    span.note(|facts| facts.failed(failure.detail()));
                    let now = self.ground.clock.now_ms();
                    self.ground.failures.say(&trace, rule, failure, now);
                    self.spare_if(failure.kind != FailureKind::RequestBody);
                }
            }
            answer.map(end_to_end)
        }
    }
}

/// Whether the key of a rule that asks who somebody is leaves open which of several people it is.
fn is_of_a_role(rule: &Rule, role: &str) -> bool {
    let mut asked = rule.key.placeholders();
    let asks_who = asked.any(|one| matches!(one.source, Source::Claim(_)));
    !rule.public && (asks_who || !rule.roles.is_empty()) && !rule.key.tells_people_apart(role)
}

/// An answer without what is of one connection, but for the protocol.
fn end_to_end(mut response: Response<Body>) -> Response<Body> {
    let protocol = match response.status() {
        StatusCode::SWITCHING_PROTOCOLS | StatusCode::UPGRADE_REQUIRED => {
            response.headers().get(header::UPGRADE).cloned()
        }
        _ => None,
    };
    headers::remove_hop_by_hop(response.headers_mut());
    if let Some(protocol) = protocol {
        headers::offer_switch(response.headers_mut(), protocol);
    }
    response
}

fn verifier(
    identity: Option<&IdentitySettings>,
    issuers: &Issuers,
) -> Result<Option<Verifier>, String> {
    let Some((identity, verify)) = identity.zip(identity.and_then(|one| one.verify.as_ref()))
    else {
        return Ok(None);
    };
    let published = match &verify.key {
        VerifyKey::Jwks(source) => Some(issuers.keys(source, verify.algorithm)?),
        VerifyKey::Secret(_) | VerifyKey::Pem(_) => None,
    };
    Verifier::new(verify, identity.leeway, published).map(Some)
}
