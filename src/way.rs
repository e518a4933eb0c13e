//! Which way a request goes, by its head alone: what is done with it and what is explained of it are
//! decided here, once.

use crate::head::Head;
use crate::outcome::{Detail, Outcome};
use crate::rules::table::{Matched, Rule, Table};
use crate::write;
use std::sync::Arc;

/// Which way a request goes.
pub enum Way<'t, 'p> {
    /// It is answered in the origin's place (RFC 9110 §7.6.2).
    EndsHere,
    /// It may become a tunnel: it offers to, and nothing may change by it.
    Tunnel,
    /// A rule is there for it, if it may use it.
    Read(Matched<'t, 'p, Rule>),
    /// It may change something: what is kept and hangs on it falls. The outcome that it is counted as.
    Write(Outcome),
    /// A rule is there for it that it may not use, whatever its body.
    Bypass(&'t Arc<Rule>, Detail),
    /// No rule is there for it.
    Pass,
}

impl<'t, 'p> Way<'t, 'p> {
    /// The way of a request with this head.
    pub fn of(table: &'t Table, head: &'p Head, has_body: bool) -> Way<'t, 'p> {
        let (path, methods) = (head.parts.uri.path(), head.methods());
        if head.ends_here {
            return Way::EndsHere;
        }
        if may_switch(table, head, has_body) {
            return Way::Tunnel;
        }
        match table.read(&head.parts.method, path) {
            Some(matched) if methods.len() == 1 => Way::Read(matched),
            _ if write::concerns(table, methods, path) => Way::Write(Outcome::Write),
            Some(matched) => Way::Bypass(matched.what, Detail::UnkeyedHeader),
            None if write::may_change(methods) => Way::Write(Outcome::Pass),
            None => Way::Pass,
        }
    }
}

/// Whether it may become a tunnel.
pub fn may_switch(table: &Table, head: &Head, has_body: bool) -> bool {
    let methods = head.methods();
    head.offered.is_some()
        && !has_body
        && !write::may_change(methods)
        && !write::concerns(table, methods, head.parts.uri.path())
}
