//! Which rules file a command is given.

use clap::builder::{OsStringValueParser, TypedValueParser};
use std::path::PathBuf;

/// The file where nobody names one.
pub const USUAL: &str = "rules.toml";

/// Reads the name of a rules file. An empty one, as of a variable that is set to nothing, names none.
pub fn file() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(|name| match name.is_empty() {
        true => PathBuf::from(USUAL),
        false => PathBuf::from(name),
    })
}
