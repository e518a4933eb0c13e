//! Every number that `/metrics` shows. Callers say in plain words what happened; names, labels and
//! buckets are decided here. The names are a contract: dashboards and alerts are built on them.

mod alerts; // what somebody should look at
mod budget; // what may be spent
mod family; // samples, as the registry writes its own
mod guards; // what lasts
mod limits; // what is counted by limit
mod local; // what the memory tier holds
mod process;
mod rules; // what is counted by rule
mod shards; // counters that threads need not share
mod store; // commands
mod tally; // what was counted of a rule
mod timings; // histograms

pub use alerts::AlertMetrics;
pub use guards::{Connected, Filling};
pub use limits::LimitMetrics;
pub use rules::RuleMetrics;
pub use store::{Billed, Command};
pub use tally::Tally;
pub use timings::Times;

use limits::Limits;
use local::Local;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::{Metric, Registry};
use rules::Rules;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use store::{Commands, StoreMemory};

/// Content type of [`Metrics::encode`]: OpenMetrics 1.0 text, which Prometheus asks for first.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The `kind` of an audit that holds what an observed rule would have served against what the origin answered.
pub const OBSERVED: &str = "observe";

/// Its `result` where they were the same.
pub const OBSERVED_SAME: &str = "same";

/// Its `result` where they were not.
pub const OBSERVED_DIFFERS: &str = "differs";

/// The `set` label of what was dropped by hand.
pub const PURGE: &str = "purge";

/// The `rule` label where none matched.
pub const UNRULED: &str = "-";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Set {
    set: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Audited {
    rule: String,
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Warmed {
    set: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LeaseResult {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: u16,
}

/// The process's metrics. One value is shared by everything that counts.
pub struct Metrics {
    registry: Registry,
    rules: Arc<Rules>,
    unruled: Arc<RuleMetrics>,
    limits: Arc<Limits>,
    commands: Arc<Commands>,
    local: Arc<Local>,
    connections: Gauge,
    connections_full: Counter,
    connections_cut: Family<Reason, Counter>,
    invalidations: Family<Set, Counter>,
    invalidations_owed: Gauge,
    warms: Family<Warmed, Counter>,
    write_leases: Family<LeaseResult, Counter>,
    store_errors: Family<Kind, Counter>,
    store_up: Gauge,
    store_state: Family<State, Gauge>,
    store_memory: Arc<StoreMemory>,
    budget: Arc<budget::Budget>,
    subscription_up: Gauge,
    subscription_wanted: Gauge,
    local_evictions: Counter,
    fills_in_flight: Gauge,
    audits: Family<Audited, Counter>,
    rules_loaded: Gauge<f64, AtomicU64>,
    rules_refused: Gauge<f64, AtomicU64>,
    rules_reload_failures: Counter,
    admin_refused: Family<Status, Counter>,
    alerts: AlertMetrics,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

impl Metrics {
    /// All metrics at zero. `store_up` is 0 until a store says otherwise.
    pub fn new() -> Metrics {
        let rules = Arc::new(Rules::default());
        let mut metrics = Metrics {
            registry: Registry::default(),
            unruled: rules.named(UNRULED),
            rules,
            limits: Arc::default(),
            commands: Arc::default(),
            local: Arc::default(),
            connections: Gauge::default(),
            connections_full: Counter::default(),
            connections_cut: Family::default(),
            invalidations: Family::default(),
            invalidations_owed: Gauge::default(),
            warms: Family::default(),
            write_leases: Family::default(),
            store_errors: Family::default(),
            store_up: Gauge::default(),
            store_state: Family::default(),
            store_memory: Arc::default(),
            budget: Arc::default(),
            subscription_up: Gauge::default(),
            subscription_wanted: Gauge::default(),
            local_evictions: Counter::default(),
            fills_in_flight: Gauge::default(),
            audits: Family::default(),
            rules_loaded: Gauge::default(),
            rules_refused: Gauge::default(),
            rules_reload_failures: Counter::default(),
            admin_refused: Family::default(),
            alerts: AlertMetrics::default(),
        };
        metrics.register();
        metrics
    }

    /// The encoder appends `_total` to the names of counters.
    fn register(&mut self) {
        self.registry
            .register_collector(Box::new(process::Process::begins()));
        let registry = self.registry.sub_registry_with_prefix("sidecache");
        registry.register_collector(Box::new(self.rules.clone()));
        registry.register_collector(Box::new(self.store_memory.clone()));
        registry.register_collector(Box::new(self.budget.clone()));
        registry.register_collector(Box::new(self.limits.clone()));
        registry.register_collector(Box::new(self.commands.clone()));
        registry.register_collector(Box::new(self.local.clone()));
        let mut names = Names(registry);
        names.add("connections", "Clients' connections", &self.connections);
        names.add(
            "connections_full",
            "Times that max_connections were open",
            &self.connections_full,
        );
        names.add(
            "connections_cut",
            "Connections that were closed on their client",
            &self.connections_cut,
        );
        names.add(
            "invalidations",
            "Writes that dropped, by set",
            &self.invalidations,
        );
        names.add(
            "invalidations_owed",
            "Nodes yet to be dropped",
            &self.invalidations_owed,
        );
        names.add("warms", "Asked for after writes, by set", &self.warms);
        names.add(
            "write_leases",
            "Leases asked for before writes",
            &self.write_leases,
        );
        names.add("store_errors", "Commands that failed", &self.store_errors);
        names.add("store_up", "Whether the store is used now", &self.store_up);
        names.add(
            "store_state",
            "Whether this is what the store is good for now",
            &self.store_state,
        );
        names.add(
            "subscription_up",
            "Whether other sidecars are heard now",
            &self.subscription_up,
        );
        names.add(
            "subscription_wanted",
            "Whether other sidecars are to be heard now",
            &self.subscription_wanted,
        );
        names.add(
            "local_evictions",
            "Evicted from the memory tier",
            &self.local_evictions,
        );
        names.add(
            "fills_in_flight",
            "Fills asking the origin now",
            &self.fills_in_flight,
        );
        names.add("audit", "Audits, by what they found", &self.audits);
        names.add(
            "rules_loaded_timestamp_seconds",
            "When rules were loaded",
            &self.rules_loaded,
        );
        names.add(
            "rules_refused_timestamp_seconds",
            "When rules were refused last; 0 if never",
            &self.rules_refused,
        );
        names.add(
            "rules_reload_failures",
            "Reloads refused",
            &self.rules_reload_failures,
        );
        names.add(
            "admin_refused",
            "Callers that the admin door did not let in",
            &self.admin_refused,
        );
        self.alerts.register(&mut names);
    }

    /// A client is connected; it is so until the guard is dropped.
    pub fn connected(&self) -> Connected {
        self.connections.inc();
        Connected(self.connections.clone())
    }

    /// The next client has to wait until another leaves.
    pub fn connections_full(&self) {
        self.connections_full.inc();
    }

    /// A connection was closed on its client: too slow, too long, too many.
    pub fn connection_cut(&self, reason: &'static str) {
        self.connections_cut.get_or_create(&Reason { reason }).inc();
    }

    /// The admin door turned a caller away: by a wrong token, too many of them, or as a page.
    pub fn door_refused(&self, status: u16) {
        self.admin_refused.get_or_create(&Status { status }).inc();
    }

    /// The counters of a rule, to be held by who answers by it. All who name it share them.
    pub fn rule(&self, name: &str) -> Arc<RuleMetrics> {
        self.rules.named(name)
    }

    /// The counters of a limit, to be held by who counts by it. All who name it share them.
    pub fn limit(&self, name: &str) -> Arc<LimitMetrics> {
        self.limits.named(name)
    }

    /// The counters of what no rule is for.
    pub fn unruled(&self) -> &Arc<RuleMetrics> {
        &self.unruled
    }

    /// A write dropped what `set` names, or owes it.
    pub fn invalidated(&self, set: &str) {
        self.invalidations
            .get_or_create(&Set { set: set.into() })
            .inc();
    }

    /// This became of something that `set` has asked for after a write.
    pub fn warmed(&self, set: &str, result: &'static str) {
        let set = set.to_owned();
        self.warms.get_or_create(&Warmed { set, result }).inc();
    }

    /// How many nodes are owed now.
    pub fn owed(&self, nodes: usize) {
        self.invalidations_owed.set(gauge(nodes));
    }

    /// A write was leased, or the store could not or would not.
    pub fn lease(&self, granted: bool) {
        let result = if granted { "granted" } else { "refused" };
        self.write_leases
            .get_or_create(&LeaseResult { result })
            .inc();
    }

    /// A command was answered by the store, or failed, after this long.
    pub fn store_command(&self, command: Command, took: Duration) {
        self.commands.count(command, took);
    }

    /// A script took so many calls; `is_due` says that it is run whatever a budget says.
    pub fn store_script(&self, is_due: bool, calls: u64) {
        self.commands.count_calls(is_due, calls);
    }

    /// A command failed. `kind` is one of the closed list in `store::Kind`.
    pub fn store_failed(&self, kind: &'static str) {
        self.store_errors.get_or_create(&Kind { kind }).inc();
    }

    /// Whether the store may be asked now.
    pub fn store_up(&self, up: bool) {
        self.store_up.set(i64::from(up));
    }

    /// Whether the store is in this state, one of the closed list in `store::State`.
    pub fn store_state(&self, state: &'static str, is_so: bool) {
        let gauge = self.store_state.get_or_create(&State { state });
        gauge.set(i64::from(is_so));
    }

    /// What the store says that it uses; nothing is shown where it does not say.
    pub fn store_memory(&self, bytes: Option<u64>) {
        self.store_memory.set(bytes);
    }

    /// Whether other sidecars are heard, so that rules with a `local_ttl` answer from memory.
    pub fn subscription_up(&self, up: bool) {
        self.subscription_up.set(i64::from(up));
    }

    /// Whether they are to be: some rule has a `local_ttl`, and the store is shared.
    pub fn subscription_wanted(&self, wanted: bool) {
        self.subscription_wanted.set(i64::from(wanted));
    }

    /// Asks `holds`, whenever somebody wants to know, how many bytes and entries the memory tier holds.
    pub fn local(&self, holds: impl Fn() -> (u64, usize) + Send + Sync + 'static) {
        self.local.set(Box::new(holds));
    }

    /// The memory tier evicted an entry to make room.
    pub fn local_evicted(&self) {
        self.local_evictions.inc();
    }

    /// A fill begins; it ends when the guard is dropped, also by a panic or a cancelled task.
    pub fn fill(&self) -> Filling {
        self.fills_in_flight.inc();
        Filling(self.fills_in_flight.clone())
    }

    /// An answer of a rule was audited.
    pub fn audited(&self, rule: &str, kind: &'static str, result: &'static str) {
        let labels = Audited {
            rule: rule.into(),
            kind,
            result,
        };
        self.audits.get_or_create(&labels).inc();
    }

    /// Such audits are counted from now on: the first is one more than none.
    pub fn may_audit(&self, rule: &str, kind: &'static str, result: &'static str) {
        let labels = Audited {
            rule: rule.to_owned(),
            kind,
            result,
        };
        drop(self.audits.get_or_create(&labels));
    }

    /// How many audits of a rule came to this so far.
    pub fn audits(&self, rule: &str, kind: &'static str, result: &'static str) -> u64 {
        let labels = Audited {
            rule: rule.into(),
            kind,
            result,
        };
        self.audits.get(&labels).map_or(0, |counter| counter.get())
    }

    /// What is counted of alerts.
    pub fn alerts(&self) -> &AlertMetrics {
        &self.alerts
    }

    /// Rules were loaded at this Unix time, in milliseconds.
    pub fn rules_loaded(&self, at_ms: u64) {
        self.rules_loaded.set(at_ms as f64 / 1000.0);
    }

    /// A reload was refused at this Unix time, in milliseconds, and the old rules stay.
    pub fn rules_reload_failed(&self, at_ms: u64) {
        self.rules_refused.set(at_ms as f64 / 1000.0);
        self.rules_reload_failures.inc();
    }

    /// What was counted by rule so far, each by its name; what no rule is for by `-`. Of what nobody asked for
    /// nothing.
    pub fn tallies(&self) -> Vec<(String, Tally)> {
        let all = self.rules.sums().into_iter();
        all.filter(|(_, tally)| !tally.is_empty()).collect()
    }

    /// What limits did so far: by name, and by result.
    pub fn limited(&self) -> Vec<(String, [(&'static str, u64); 3])> {
        self.limits.sums()
    }

    /// Commands sent to the store so far.
    pub fn commands(&self) -> u64 {
        self.commands.count_all()
    }

    /// Commands of the store that failed so far, by their kind.
    pub fn failures(&self, kind: &'static str) -> u64 {
        let counter = self.store_errors.get(&Kind { kind });
        counter.map_or(0, |counter| counter.get())
    }

    /// Writes that `set` dropped for so far.
    pub fn invalidations(&self, set: &str) -> u64 {
        let counter = self.invalidations.get(&Set { set: set.into() });
        counter.map_or(0, |counter| counter.get())
    }

    /// Reloads refused so far.
    pub fn reload_failures(&self) -> u64 {
        self.rules_reload_failures.get()
    }

    /// Bytes and entries of the memory tier.
    pub fn local_holds(&self) -> (u64, usize) {
        self.local.holds()
    }

    /// Everything as text of [`CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        let mut text = String::new();
        text::encode(&mut text, &self.registry).expect("writing to a String cannot fail");
        text
    }
}

/// Names metrics of one prefix, so that registering one is one line.
struct Names<'a>(&'a mut Registry);

impl Names<'_> {
    fn add<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: &M) {
        self.0.register(name, help, metric.clone());
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
