//! The reads that rules keep: asked again and again, and held against what they said before.

use super::asking::{Answer, Asker};
use super::carried::Carried;
use crate::asked::Asked;
use crate::freshness::judge_body;
use crate::key;
use crate::likeness::{Likeness, differences};
use crate::live::Live;
use crate::rules::table::Rule;
use crate::traffic::Exchange;
use crate::way::Way;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::task::JoinSet;

/// A request that a rule takes for a read, as it was recorded.
pub struct Recorded {
    /// Its place in the traffic.
    pub position: usize,
    /// The request.
    pub exchange: Exchange,
    /// It is about something that is written, and so one of those that change first.
    pub is_related: bool,
}

/// An answer that would be kept, by its key.
pub struct Kept {
    /// Position of its rule.
    pub rule: usize,
    /// `rule#digest`.
    pub label: String,
    /// The segments of its key.
    pub segments: Vec<String>,
    /// The nodes by whose versions it would live.
    pub nodes: Vec<String>,
    /// What it said last; `None` where it may not be kept.
    body: Option<Bytes>,
    /// Places that were seen to differ without any write.
    known: BTreeSet<String>,
}

/// What asking a read again came to.
#[derive(Clone)]
pub enum Seen {
    /// It says what it said.
    Unchanged,
    /// It says something else, at these places.
    Changed(Vec<String>),
    /// Two answers of the same moment differ where no two did before: the origin may be at work still. What it said
    /// before is kept for the next time.
    Unsettled,
}

/// Whether reads are asked once more if need be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// They are.
    First,
    /// They are not: what differs now between two answers of the same moment is restless.
    Last,
}

/// All reads.
#[derive(Default)]
pub struct Reads {
    recorded: Vec<Recorded>,
    /// By the store key.
    pub kept: BTreeMap<String, Kept>,
    /// By rule: keys that there was no room for.
    pub left_out: BTreeMap<usize, BTreeSet<String>>,
    /// By rule: keys whose answers were seen to be restless, and where.
    pub restless: BTreeMap<usize, BTreeSet<String>>,
    /// Most keys of a rule.
    most: usize,
}

/// A read that is about to be asked.
struct Due {
    entry: String,
    asked: Arc<Asked>,
}

/// Two answers of the same moment.
struct Pair {
    now: Answer,
    again: Answer,
}

impl Reads {
    /// These reads, of which no more than `most` keys are asked for each rule.
    pub fn new(recorded: Vec<Recorded>, most: usize) -> Reads {
        Reads {
            recorded,
            most,
            ..Reads::default()
        }
    }

    /// Asks every read as it would be asked at this place of the traffic, each twice, and tells what became of
    /// those that were kept.
    pub async fn look(
        &mut self,
        live: &Arc<Live>,
        asker: &Arc<Asker>,
        carried: &Carried,
        position: usize,
        sight: Sight,
        jobs: usize,
    ) -> Looked {
        let due = self.due(live, asker, carried, position);
        let asked: BTreeSet<&String> = due.iter().map(|due| &due.entry).collect();
        for (entry, kept) in &mut self.kept {
            if !asked.contains(entry) {
                kept.body = None; // whatever it says when it is asked again, no one write made
            }
        }
        let mut looked = Looked::default();
        let mut asked = asked_twice(asker, due, jobs).await;
        asked.sort_by(|(one, _), (other, _)| one.entry.cmp(&other.entry));
        for (due, pair) in asked {
            self.hold(live, due, pair, sight, &mut looked);
        }
        looked
    }

    /// The reads by key: of several recorded requests of one, the latest up to here, else the first after.
    fn due(
        &mut self,
        live: &Arc<Live>,
        asker: &Asker,
        carried: &Carried,
        position: usize,
    ) -> Vec<Due> {
        let split = self
            .recorded
            .partition_point(|one| one.position <= position);
        let (before, after) = self.recorded.split_at(split);
        let mut due: BTreeMap<String, Arc<Asked>> = BTreeMap::new();
        let mut count: BTreeMap<usize, usize> = BTreeMap::new();
        for kept in self.kept.values() {
            *count.entry(kept.rule).or_default() += 1;
        }
        let in_turn = || before.iter().rev().chain(after);
        let related = in_turn().filter(|one| one.is_related);
        for one in related.chain(in_turn().filter(|one| !one.is_related)) {
            let applied = carried.applied(&one.exchange);
            let Some(asked) = usable(live, asker, &applied) else {
                continue;
            };
            let (entry, rule) = (asked.key(&[]).entry.clone(), asked.rule.index);
            if !self.kept.contains_key(&entry) && !due.contains_key(&entry) {
                let count = count.entry(rule).or_default();
                if *count >= self.most {
                    self.left_out.entry(rule).or_default().insert(entry);
                    continue;
                }
                *count += 1;
            }
            due.entry(entry).or_insert_with(|| Arc::new(asked));
        }
        let due = due.into_iter();
        due.map(|(entry, asked)| Due { entry, asked }).collect()
    }

    /// Holds two answers against what was kept, which they take the place of.
    fn hold(
        &mut self,
        live: &Live,
        due: Due,
        pair: Result<Pair, String>,
        sight: Sight,
        looked: &mut Looked,
    ) {
        let rule = due.asked.rule.clone();
        let kept = self.kept.entry(due.entry.clone()).or_insert_with(|| Kept {
            rule: rule.index,
            label: key::for_logs(&rule, &due.entry),
            segments: due.asked.segments().to_vec(),
            nodes: due.asked.key(&[]).nodes.clone(),
            body: None,
            known: BTreeSet::new(),
        });
        let Some(pair) = pair.ok().filter(|pair| !is_out_of_order(&pair.now)) else {
            looked.unanswered.insert(kept.label.clone());
            kept.body = None;
            return;
        };
        let now = keepable(live, &rule, &pair.now).then(|| pair.now.body.clone());
        let before = std::mem::replace(&mut kept.body, now);
        let Some(before) = before else {
            return;
        };
        let likeness = match pair.now.status == pair.again.status {
            true => differences(&before, &pair.now.body, &pair.again.body).knowing(&kept.known),
            false => Likeness::Restless(vec![String::new()]),
        };
        let news = likeness.restless().iter();
        let news: BTreeSet<String> = news
            .filter(|place| !kept.known.contains(*place))
            .cloned()
            .collect();
        if sight == Sight::First && !news.is_empty() {
            kept.body = Some(before);
            looked.seen.insert(due.entry, Seen::Unsettled);
            return;
        }
        if !news.is_empty() {
            let places = self.restless.entry(kept.rule).or_default();
            places.extend(news.iter().cloned());
            kept.known.extend(news);
        }
        let seen = match likeness {
            Likeness::Differs { at, .. } => Seen::Changed(at),
            _ => Seen::Unchanged,
        };
        looked.seen.insert(due.entry, seen);
    }

    /// Takes what differs now, when nobody has written anything, for restless.
    pub fn forgive(&mut self, looked: &Looked) {
        for (entry, seen) in &looked.seen {
            if let (Seen::Changed(at), Some(kept)) = (seen, self.kept.get_mut(entry)) {
                kept.known.extend(at.iter().cloned());
                let places = self.restless.entry(kept.rule).or_default();
                places.extend(at.iter().cloned());
            }
        }
    }
}

/// What one round of asking came to.
#[derive(Default)]
pub struct Looked {
    /// By the store key, of reads that were kept before.
    pub seen: BTreeMap<String, Seen>,
    /// Labels of those that the origin did not answer.
    pub unanswered: BTreeSet<String>,
}

impl Looked {
    /// Whether something changed, and nothing is changing still.
    pub fn is_clear(&self) -> bool {
        let has_changes = self
            .seen
            .values()
            .any(|seen| matches!(seen, Seen::Changed(_)));
        let is_settled = !self
            .seen
            .values()
            .any(|seen| matches!(seen, Seen::Unsettled));
        has_changes && is_settled
    }

    /// Adds what a second look has shown: what had changed at first sight has changed.
    pub fn followed_by(mut self, second: Looked) -> Looked {
        for (entry, seen) in second.seen {
            let is_changed = matches!(self.seen.get(&entry), Some(Seen::Changed(_)));
            if !is_changed {
                self.seen.insert(entry, seen);
            }
        }
        self.unanswered.extend(second.unanswered);
        self
    }
}

/// A request as its rule would have the origin asked, if it may use a rule.
pub fn usable(live: &Arc<Live>, asker: &Asker, exchange: &Exchange) -> Option<Asked> {
    let head = asker.head(live, exchange)?;
    let body = Some(&exchange.body).filter(|body| !body.is_empty());
    match Way::of(&live.table, &head, body.is_some()) {
        Way::Read(matched) => Asked::of(live, &matched, &head, body).ok(),
        _ => None,
    }
}

async fn asked_twice(
    asker: &Arc<Asker>,
    due: Vec<Due>,
    jobs: usize,
) -> Vec<(Due, Result<Pair, String>)> {
    let mut due = due.into_iter();
    let (mut tasks, mut done) = (JoinSet::new(), Vec::new());
    loop {
        while tasks.len() < jobs
            && let Some(due) = due.next()
        {
            let asker = asker.clone();
            tasks.spawn(async move {
                let pair = pair(&asker, &due.asked).await;
                (due, pair)
            });
        }
        match tasks.join_next().await {
            Some(Ok(one)) => done.push(one),
            Some(Err(_)) => {} // it panicked, and said so
            None => return done,
        }
    }
}

async fn pair(asker: &Asker, asked: &Asked) -> Result<Pair, String> {
    let once = || asker.ask(asked.fill(&[], None).0);
    Ok(Pair {
        now: once().await?,
        again: once().await?,
    })
}

/// An answer that says nothing of the data: the origin cannot answer now, or wants to be left alone.
fn is_out_of_order(answer: &Answer) -> bool {
    matches!(answer.status.as_u16(), 429 | 502..=504)
}

/// Whether the rule would keep the answer, as far as it can be told without its life.
fn keepable(live: &Live, rule: &Rule, answer: &Answer) -> bool {
    let status = answer.status.as_u16();
    let is_kept = match &rule.statuses {
        Some(statuses) => statuses.contains(&status),
        None => (200..300).contains(&status),
    };
    is_kept
        && answer.body.len() <= live.table.store.max_entry
        && judge_body(&rule.store_if, &answer.body).is_ok()
}
