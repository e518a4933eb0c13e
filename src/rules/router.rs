//! The routes of many rules as one trie of segments: what a request costs does not grow with the
//! number of rules. Paths are given raw, without the query.
//!
//! At each segment a literal is tried before a parameter, a parameter before the rest, and what
//! turns out a dead end is taken back.

use super::pattern::{Captures, Pattern, Step};
use super::settings::Routing;
use super::table::Route;
use hyper::Method;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

/// Which route of which rule or set: a position in the table, and in its `routes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Position of the rule or set.
    pub owner: usize,
    /// Position in its routes.
    pub route: usize,
}

/// Finds the targets of a method and path.
#[derive(Debug)]
pub struct Router {
    routing: Routing,
    methods: HashMap<Method, Node>,
}

#[derive(Debug, Default)]
struct Node {
    /// By their text, in lower case under Express routing.
    literals: HashMap<String, Node>,
    param: Option<Box<Node>>,
    /// Those whose pattern ends here.
    here: Vec<Target>,
    /// Those whose pattern takes the rest from here.
    rest: Vec<Target>,
}

/// Is shown the targets of a match and the ranges of its parameters.
type Visit<'v> = dyn FnMut(&[Target], &[Range<usize>]) -> Go + 'v;

/// A way through the trie.
struct Walk<'w> {
    routing: Routing,
    /// The path as literals are compared with it; its bytes stand where the raw path's do.
    folded: &'w str,
    /// The parameters so far.
    ranges: Vec<Range<usize>>,
    /// Is shown the targets of each match, best first, until it says stop.
    visit: &'w mut Visit<'w>,
}

/// Whether a walk continues.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Go {
    On,
    Stop,
}

impl Router {
    /// A router without routes.
    pub fn new(routing: Routing) -> Router {
        Router {
            routing,
            methods: HashMap::new(),
        }
    }

    /// Adds a route. Returns an earlier target of the same method whose pattern has the same shape,
    /// so that no path could tell them apart; the new one is added all the same, behind it.
    pub fn add(&mut self, route: &Route, target: Target) -> Option<Target> {
        let root = self.methods.entry(route.method.clone()).or_default();
        let targets = root.place(&route.pattern, self.routing);
        targets.push(target);
        targets.first().copied().filter(|first| *first != target)
    }

    /// The most specific target, with the ranges of its parameters in `path`.
    pub fn best(&self, method: &Method, path: &str) -> Option<(Target, Vec<Range<usize>>)> {
        let mut found = None;
        self.walk(method, path, &mut |targets, ranges| {
            found = targets.first().map(|target| (*target, ranges.to_vec()));
            Go::Stop
        });
        found
    }

    /// Every target, the most specific first.
    pub fn all(&self, method: &Method, path: &str) -> Vec<(Target, Vec<Range<usize>>)> {
        let mut found = Vec::new();
        self.walk(method, path, &mut |targets, ranges| {
            found.extend(targets.iter().map(|target| (*target, ranges.to_vec())));
            Go::On
        });
        found
    }

    /// The methods that any route has.
    pub fn methods(&self) -> impl Iterator<Item = &Method> {
        self.methods.keys()
    }

    fn walk(&self, method: &Method, path: &str, visit: &mut Visit<'_>) {
        let Some(root) = self.methods.get(method).filter(|_| path.starts_with('/')) else {
            return;
        };
        let folded = fold(path, self.routing);
        let mut walk = Walk {
            routing: self.routing,
            folded: &folded,
            ranges: Vec::new(),
            visit,
        };
        // The root's own pattern is `/`, in either routing.
        if path == "/" && walk.found(&root.here) == Go::Stop {
            return;
        }
        walk.descend(root, 1);
    }
}

/// A text as literals are compared: the same bytes in the same places, in lower case if that makes
/// no difference.
fn fold(text: &str, routing: Routing) -> Cow<'_, str> {
    match routing {
        Routing::Express if text.bytes().any(|b| b.is_ascii_uppercase()) => {
            Cow::Owned(text.to_ascii_lowercase())
        }
        _ => Cow::Borrowed(text),
    }
}

impl Node {
    /// Where a pattern's target is kept.
    fn place(&mut self, pattern: &Pattern, routing: Routing) -> &mut Vec<Target> {
        let mut node = self;
        for step in pattern.steps() {
            node = match step {
                // The slash at the end of a pattern says nothing to Express.
                Step::Literal(text) if text.is_empty() && routing == Routing::Express => node,
                Step::Literal(text) => node
                    .literals
                    .entry(fold(text, routing).into_owned())
                    .or_default(),
                Step::Param(_) => node.param.get_or_insert_default(),
                Step::Rest(_) => return &mut node.rest,
            };
        }
        &mut node.here
    }
}

impl Walk<'_> {
    fn found(&mut self, targets: &[Target]) -> Go {
        if targets.is_empty() {
            Go::On
        } else {
            (self.visit)(targets, &self.ranges)
        }
    }

    /// Matches what follows the slash before `at`.
    fn descend(&mut self, node: &Node, at: usize) -> Go {
        let left = &self.folded[at..];
        let end = left.find('/').map_or(self.folded.len(), |slash| at + slash);
        let segment = &self.folded[at..end];
        if let Some(child) = node.literals.get(segment)
            && self.behind(child, end) == Go::Stop
        {
            return Go::Stop;
        }
        if let Some(child) = node.param.as_deref()
            && !segment.is_empty()
            && self.with(at..end, |walk| walk.behind(child, end)) == Go::Stop
        {
            return Go::Stop;
        }
        self.with(at..self.folded.len(), |walk| walk.found(&node.rest))
    }

    /// Matches from the end of a segment that led to `node`.
    fn behind(&mut self, node: &Node, end: usize) -> Go {
        let left = self.folded.len() - end;
        let over = left == 0 || (left == 1 && self.routing == Routing::Express);
        if over && self.found(&node.here) == Go::Stop {
            return Go::Stop;
        }
        if left == 0 {
            Go::On
        } else {
            self.descend(node, end + 1)
        }
    }

    /// Does something with one parameter more.
    fn with(&mut self, range: Range<usize>, run: impl FnOnce(&mut Self) -> Go) -> Go {
        self.ranges.push(range);
        let go = run(self);
        self.ranges.pop();
        go
    }
}

/// The captures of a match: `ranges` as [`Router::best`] gave them for this route and path.
pub fn captures<'t, 'p>(
    route: &'t Route,
    path: &'p str,
    ranges: Vec<Range<usize>>,
) -> Captures<'t, 'p> {
    Captures::new(&route.pattern, path, ranges)
}

#[cfg(test)]
#[path = "router_tests.rs"]
mod tests;
