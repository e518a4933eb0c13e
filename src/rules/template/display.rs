//! Templates written out again, in one spelling: for messages, and for the digest of a rule.

use super::{Filter, Part, Placeholder, Segment, Source, Template};
use std::fmt::{self, Display, Formatter};

impl Display for Template {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.segments.iter().enumerate() {
            write!(f, "{}{segment}", if at == 0 { "" } else { ":" })?;
        }
        match (self.wildcard, self.segments.is_empty()) {
            (true, true) => f.write_str("*"),
            (true, false) => f.write_str(":*"),
            (false, _) => Ok(()),
        }
    }
}

impl Display for Segment {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Literal(text) => f.write_str(text),
            Part::Value(placeholder) => placeholder.fmt(f),
        })
    }
}

impl Display for Placeholder {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}", self.source)?;
        self.filters
            .iter()
            .try_for_each(|filter| write!(f, " | {}", filter.name()))?;
        f.write_str("}")
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Source::Path(name) => f.write_str(name),
            Source::Query => f.write_str("query"),
            Source::QueryName(name) => write!(f, "query.{name}"),
            Source::Claim(name) => write!(f, "claims.{name}"),
            Source::Token => f.write_str("token"),
            Source::Body => f.write_str("body"),
            Source::BodyField(path) => write!(f, "body.{}", path.join(".")),
            Source::Header(name) => write!(f, "header.{name}"),
            Source::Cookie(name) => write!(f, "cookie.{name}"),
            Source::Method => f.write_str("method"),
            Source::ClientIp => f.write_str("client_ip"),
            Source::Response(path) => write!(f, "response.{}", path.join(".")),
        }
    }
}

impl Filter {
    /// The word for it in a template.
    pub fn name(self) -> &'static str {
        match self {
            Filter::Lower => "lower",
            Filter::Trim => "trim",
            Filter::Squeeze => "squeeze",
            Filter::Hash => "hash",
        }
    }
}
