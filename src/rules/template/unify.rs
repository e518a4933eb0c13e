//! Whether two templates can name the same key, as far as their texts tell. Where that cannot be
//! known the answer is yes.

use super::{Filter, Part, Placeholder, Segment, Source, Template};

impl Segment {
    /// Whether some values make both segments the same text.
    pub fn can_equal(&self, other: &Segment) -> bool {
        match (self.literal(), other.literal()) {
            (Some(mine), Some(theirs)) => mine == theirs,
            (Some(text), None) => other.fits(text),
            (None, Some(text)) => self.fits(text),
            (None, None) => {
                let agree = |a: &str, b: &str| a.starts_with(b) || b.starts_with(a);
                let agree_behind = |a: &str, b: &str| a.ends_with(b) || b.ends_with(a);
                agree(self.prefix(), other.prefix()) && agree_behind(self.suffix(), other.suffix())
            }
        }
    }

    /// Whether some values make this segment that text.
    pub fn fits(&self, text: &str) -> bool {
        match self.literal() {
            Some(literal) => literal == text,
            None => text
                .strip_prefix(self.prefix())
                .is_some_and(|left| left.ends_with(self.suffix())),
        }
    }

    /// Whether equal values make this segment of a drop the very text that `key` makes of them. Values
    /// are escaped by how many stand in a segment, and shortened by how long they are, so where both
    /// hold values everything around them has to be the same.
    fn renders_like(&self, key: &Segment) -> bool {
        match (self.placeholders().count(), key.placeholders().count()) {
            (0, 0 | 1) | (1, 0) => true,
            _ => {
                let alike = |(mine, theirs): (&Part, &Part)| match (mine, theirs) {
                    (Part::Literal(mine), Part::Literal(theirs)) => mine == theirs,
                    (Part::Value(mine), Part::Value(theirs)) => mine.renders_like(theirs),
                    _ => false,
                };
                self.parts.len() == key.parts.len() && self.parts.iter().zip(&key.parts).all(alike)
            }
        }
    }

    /// This segment with each value filtered as the one in the same place of another.
    fn filtered_as(&self, other: &Segment) -> Segment {
        let filtered = |(at, part): (usize, &Part)| match (part, other.parts.get(at)) {
            (Part::Value(mine), Some(Part::Value(theirs))) => Part::Value(Placeholder {
                source: mine.source.clone(),
                filters: theirs.filters.clone(),
            }),
            _ => part.clone(),
        };
        Segment {
            parts: self.parts.iter().enumerate().map(filtered).collect(),
        }
    }

    fn prefix(&self) -> &str {
        literal_of(self.parts.first())
    }

    fn suffix(&self) -> &str {
        literal_of(self.parts.last())
    }
}

/// What stands in a key for a value.
#[derive(PartialEq)]
enum Form {
    Text,
    Digest,
    QueryDigest,
}

impl Placeholder {
    fn form(&self) -> Form {
        match self.source {
            Source::Query => Form::QueryDigest,
            Source::Token | Source::Body => Form::Digest,
            _ if self.filters.contains(&Filter::Hash) => Form::Digest,
            _ => Form::Text,
        }
    }

    fn renders_like(&self, other: &Placeholder) -> bool {
        let changes = |placeholder: &Placeholder| -> Vec<Filter> {
            let filters = placeholder.filters.iter().copied();
            filters.filter(|filter| *filter != Filter::Hash).collect()
        };
        self.form() == other.form() && changes(self) == changes(other)
    }
}

fn literal_of(part: Option<&Part>) -> &str {
    match part {
        Some(Part::Literal(text)) => text,
        _ => "",
    }
}

impl Template {
    /// Whether this drop can name a key made by `key`.
    pub fn can_name(&self, key: &Template) -> bool {
        let (mine, theirs) = (self.segments.len(), key.segments.len());
        let long_enough = if self.wildcard {
            theirs > mine
        } else {
            theirs == mine
        };
        long_enough
            && self
                .segments
                .iter()
                .zip(&key.segments)
                .all(|(a, b)| a.can_equal(b))
    }

    /// This drop as far as equal values make it the same text as `key`, and everything below from
    /// there on: a drop that filters or joins values otherwise than the key would miss it.
    pub fn as_rendered_by(&self, key: &Template) -> Template {
        let pairs = self.segments.iter().zip(&key.segments);
        let alike = pairs.take_while(|(mine, theirs)| mine.renders_like(theirs));
        let depth = alike.count();
        Template {
            segments: self.segments[..depth].to_vec(),
            wildcard: self.wildcard || depth < self.segments.len(),
        }
    }

    /// The placeholders of this drop that the key renders with other filters in the same place, so
    /// that the drop is widened above them: which one, counted from the left, and what to write for it.
    pub fn misfiltered(&self, key: &Template) -> Vec<(usize, Placeholder)> {
        let mut found = Vec::new();
        let mut before = 0;
        for (mine, theirs) in self.segments.iter().zip(&key.segments) {
            let meant = mine.filtered_as(theirs);
            if !mine.renders_like(theirs) && meant.renders_like(theirs) {
                let written = mine.placeholders().zip(meant.placeholders()).enumerate();
                found.extend(
                    written
                        .filter(|(_, (mine, meant))| mine != meant)
                        .map(|(at, (_, meant))| (before + at, meant.clone())),
                );
            }
            before += mine.placeholders().count();
        }
        found
    }

    /// Whether a key made by this template can be these rendered segments, or, if `wildcard`, can
    /// lie below them.
    pub fn can_be(&self, segments: &[String], wildcard: bool) -> bool {
        let (mine, theirs) = (self.segments.len(), segments.len());
        let long_enough = if wildcard {
            mine > theirs
        } else {
            mine == theirs
        };
        long_enough
            && self
                .segments
                .iter()
                .zip(segments)
                .all(|(a, text)| a.fits(text))
    }

    /// The number of segments before the first that needs something for which `known` is false.
    pub fn known_depth(&self, known: impl Fn(&Source) -> bool) -> usize {
        let unknown = |segment: &Segment| !segment.placeholders().all(|p| known(&p.source));
        self.segments
            .iter()
            .position(unknown)
            .unwrap_or(self.segments.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Use;
    use super::*;

    fn parse(text: &str) -> Template {
        Template::parse(text, Use::Drop).expect(text)
    }

    #[test]
    fn a_drop_names_the_keys_that_it_can_equal_or_stand_above() {
        let cases = [
            ("doctors:list:*", "doctors:list:{query}", true),
            ("doctors:*", "doctors:list:{query}", true),
            ("*", "doctors", true),
            ("doctors:*", "doctors", false),
            ("doctors:details:{id}", "doctors:details:{doctorId}", true),
            ("doctors:details:{id}", "doctors:list:{query}", false),
            ("doctors:{id}:*", "doctors:list:{query}", true),
            ("doctors:list", "doctors:list:{query}", false),
            ("a:x-1", "a:x-{id}", true),
            ("a:y-1", "a:x-{id}", false),
            ("a:x-", "a:x-{id}-z", false),
            ("a:x-{id}", "a:{id}-z", true),
            ("a:x-{id}", "a:y{id}", false),
        ];
        for (drop, key, expected) in cases {
            assert_eq!(parse(drop).can_name(&parse(key)), expected, "{drop} {key}");
        }
    }

    #[test]
    fn the_known_depth_ends_before_the_first_unknown_segment() {
        let known = |source: &Source| matches!(source, Source::Path(_));
        assert_eq!(parse("a:{b}:x-{token}:{c}").known_depth(known), 2);
        assert_eq!(parse("a:{b}:*").known_depth(known), 2);
        assert_eq!(parse("{query}").known_depth(known), 0);
    }
}
