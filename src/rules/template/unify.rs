//! Whether two templates can name the same key, as far as their texts tell. Where that cannot be
//! known the answer is yes.

use super::{Part, Segment, Source, Template};

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

    fn prefix(&self) -> &str {
        literal_of(self.parts.first())
    }

    fn suffix(&self) -> &str {
        literal_of(self.parts.last())
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
