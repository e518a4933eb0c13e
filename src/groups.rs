//! Groups of answers (RFC 9875): `Cache-Groups` says of an answer to which groups it belongs, and the
//! answer to a write says in `Cache-Group-Invalidation` which groups are to be forgotten.
//!
//! A group is a node like any other, but nobody knows of it before the answer that belongs to it is
//! there. So three things are other than with the nodes of a rule:
//!
//! - **An entry names its groups.** A reader who has it in memory asks for their versions along with
//!   the others; one who gets it from Redis asks once more. Without groups a hit costs what it did.
//! - **One node more, [`key::any_group_node`], is dropped with whichever group is.** It is read with
//!   every look and is part of each fill's snapshot, though no entry is kept under it.
//! - **The versions of an answer's groups are taken when its head is there**, in one atomic step with a
//!   second reading of that node. If it is still what it was before the origin was asked, no group was
//!   dropped since then, and what the groups have now they had then, or would have had. Else one of
//!   them may have been: the entry gets for its groups a version that no node ever has, so it is dead on
//!   arrival, as is every fill that raced a write.
//!
//! The race that this ends: a fill begins, the group is dropped and the write acknowledged, the fill's
//! answer comes and says that it belongs to the group. Nor does a reader who came after the write wait
//! for that fill: flights are joined by snapshot, and the node is in it. A drop is one command or one
//! script, and each is one step in Redis, so nobody sees a group dropped and the node not.
//!
//! What a write's answer names cannot be leased before: as with its `Location`, a sidecar that dies
//! between the origin's commit and the drop leaves the groups standing, and its client without an answer.
//! Groups are those of the namespace, whatever host was asked: the hosts of one origin may be one.

use crate::digest::{Digest, Digester};
use crate::entry::{Entry, Version};
use crate::flights::Snapshot;
use crate::key;
use crate::live::Live;
use crate::outcome::Detail;
use crate::rules::table::{Commits, GROUPS, Table};
use hyper::header::HeaderName;
use hyper::{HeaderMap, Method, Response};
use sfv::{BareItem, List, ListEntry, Parser};
use std::collections::BTreeSet;

/// Most groups of an answer that is kept: what RFC 9875 §2 asks for at least. Each is a key in every
/// look. Names are kept as digests, so their length does not matter.
pub const MAX_GROUPS: usize = 32;

/// A version that no node ever has.
const NEVER: Version = [0; size_of::<Version>()];

const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

/// The groups of an answer, and the versions that they are kept under.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// See [`Entry::groups`].
    pub names: Vec<Digest>,
    /// One for each.
    pub versions: Vec<Version>,
}

/// The groups of an answer to a fill that began under `snapshot`; those of what was `validated`, where
/// the answer says nothing of them. At most one script, and none where there are no groups.
///
/// # Errors
/// Why it is not to be kept: its groups cannot be read, or are too many, or the store is down.
pub async fn of(
    live: &Live,
    snapshot: &Snapshot,
    headers: &HeaderMap,
    validated: Option<&Entry>,
) -> Result<Groups, Detail> {
    let (Some(any_node), Snapshot::Known(before)) = (key::any_group_node_of(&live.table), snapshot)
    else {
        return Ok(Groups::default());
    };
    let names = match validated {
        Some(entry) if !headers.contains_key(CACHE_GROUPS) => entry.groups.clone(),
        _ => named(headers, &CACHE_GROUPS).ok_or(Detail::NotKeepable)?,
    };
    if names.is_empty() {
        return Ok(Groups::default());
    }
    if names.len() > MAX_GROUPS {
        return Err(Detail::NotKeepable);
    }
    let nodes = names
        .iter()
        .map(|group| key::group_node(&live.table.namespace, group));
    let nodes: Vec<String> = nodes.chain([any_node]).collect();
    let store = &live.ground.store;
    let mut versions = store
        .snapshot(&nodes)
        .await
        .map_err(|_| Detail::StoreDown)?;
    if versions.pop().as_ref() != before.last() {
        versions.fill(NEVER);
    }
    Ok(Groups { names, versions })
}

/// Whether an answer says that it belongs to groups, and these rules know of any.
pub fn are_named(live: &Live, headers: &HeaderMap) -> bool {
    live.any_group.is_some() && headers.contains_key(CACHE_GROUPS)
}

/// The nodes of the groups that an answer to such a request says are to be forgotten: none where nothing
/// can have changed, be it that the method is safe or that the origin refused. Where it cannot be read
/// which, everything.
pub fn dropped(
    table: &Table,
    methods: &[Method],
    status: u16,
    headers: &HeaderMap,
) -> BTreeSet<String> {
    let may_have_changed =
        methods.iter().any(|method| !method.is_safe()) && Commits::default().counts(status);
    let says_so = may_have_changed && headers.contains_key(CACHE_GROUP_INVALIDATION);
    let Some(any_node) = says_so.then(|| key::any_group_node_of(table)).flatten() else {
        return BTreeSet::new();
    };
    let node = |group: &Digest| key::group_node(&table.namespace, group);
    match named(headers, &CACHE_GROUP_INVALIDATION) {
        Some(names) if names.is_empty() => BTreeSet::new(),
        Some(names) => names.iter().map(node).chain([any_node]).collect(),
        None => BTreeSet::from([key::root_node(&table.namespace)]),
    }
}

/// Drops what an answer says is to be forgotten, where it is no write's that drops more.
pub async fn heed<B>(live: &Live, methods: &[Method], answer: &Response<B>) {
    if answer.headers().contains_key(CACHE_GROUP_INVALIDATION) {
        Box::pin(forget(live, methods, answer)).await; // rare: others need no room for it
    }
}

async fn forget<B>(live: &Live, methods: &[Method], answer: &Response<B>) {
    let status = answer.status().as_u16();
    let nodes = dropped(&live.table, methods, status, answer.headers());
    if !nodes.is_empty() {
        live.ground.metrics.invalidated(GROUPS);
        let nodes: Vec<String> = nodes.into_iter().collect();
        let _ = live.ground.store.bump(&nodes).await; // what Redis could not be told is owed
    }
}

/// The digests of the groups that a field names, sorted, each once; `None` if it is no list of strings.
/// Parameters mean nothing.
fn named(headers: &HeaderMap, field: &HeaderName) -> Option<Vec<Digest>> {
    let lines: Vec<&[u8]> = headers
        .get_all(field)
        .iter()
        .map(|line| line.as_bytes())
        .collect();
    let list: List = Parser::new(&lines.join(&b", "[..])).parse().ok()?;
    let digest = |entry: &ListEntry| match entry {
        ListEntry::Item(item) => match &item.bare_item {
            BareItem::String(name) => {
                let mut digester = Digester::new("group");
                Some(digester.part(name.as_str().as_bytes()).finish())
            }
            _ => None,
        },
        ListEntry::InnerList(_) => None,
    };
    let mut names = list.iter().map(digest).collect::<Option<Vec<Digest>>>()?;
    names.sort();
    names.dedup();
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn of(lines: &[&'static str]) -> Option<Vec<Digest>> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_GROUPS, HeaderValue::from_static(line));
        }
        named(&headers, &CACHE_GROUPS)
    }

    #[test]
    fn names_are_told_apart_by_their_characters_alone() {
        let both = of(&["\"a\", \"b\""]);
        assert_eq!(both.as_ref().map(Vec::len), Some(2));
        assert_eq!(
            of(&["\"b\";p=1", "\"a\";q, \"b\""]),
            both,
            "order, lines, parameters"
        );
        assert_ne!(of(&["\"A\", \"b\""]), both, "case");
        assert_eq!(of(&["\"\\\"\""]), of(&["  \"\\\"\"  "]), "escapes");
        assert_eq!(of(&[]), Some(Vec::new()));
        assert_eq!(of(&[""]), Some(Vec::new()));
    }

    #[test]
    fn what_is_no_list_of_strings_names_no_groups() {
        for line in [
            "a", "1", "\"a\", b", "(\"a\")", "\"a", "\"a\",", "?1", ":YQ==:",
        ] {
            assert_eq!(of(&[line]), None, "{line}");
        }
    }
}
