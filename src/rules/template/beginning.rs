//! How a template begins that could not be parsed: enough to tell what it cannot be meant for.

use super::{Part, Segment, Template, is_literal_char};

/// The literal beginning of a template up to its first fault. Empty where nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beginning(String);

impl Beginning {
    /// The beginning of what stands before the first fault of a template.
    pub fn of(sound: &str) -> Beginning {
        let signs = |c: &char| *c == ':' || is_literal_char(*c);
        Beginning(sound.chars().take_while(signs).collect())
    }

    /// Whether the template that was meant may name keys of another, or be named by it.
    pub fn may_meet(&self, other: &Template) -> bool {
        let other = literal_beginning(other);
        self.0.starts_with(&other) || other.starts_with(&self.0)
    }
}

/// A template as far as it is the same text in every key.
fn literal_beginning(template: &Template) -> String {
    let mut text = String::new();
    for segment in &template.segments {
        if let Some(Part::Literal(literal)) = segment.parts.first() {
            text.push_str(literal);
        }
        if Segment::literal(segment).is_none() {
            return text;
        }
        text.push(':');
    }
    if !template.wildcard {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::Use;
    use super::*;

    #[test]
    fn a_template_with_a_fault_may_be_meant_for_what_begins_like_it() {
        let cases = [
            ("doctors:", "doctors:list:*", true),
            ("doctors:list", "doctors:*", true),
            ("doctors:list", "doctors:lists:{id}", true),
            ("doctors:x", "doctors:list:*", false),
            ("doctors:", "doctor:list:*", false),
            ("doctors:", "d{kind}:list", true),
            ("doctors:", "*", true),
            ("", "doctors:list", true),
            ("doctors:{id}", "doctors:list", true),
        ];
        for (sound, other, expected) in cases {
            let template = Template::parse(other, Use::Drop).expect(other);
            let met = Beginning::of(sound).may_meet(&template);
            assert_eq!(met, expected, "{sound} {other}");
        }
    }
}
