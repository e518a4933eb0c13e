//! The rules file that a proposal is to fit.

use crate::rules::check::compile;
use crate::rules::problem::Severity;
use std::path::Path;
use zeroize::Zeroizing;

/// Whether `text` could be appended to these rules, which stand in `base`.
///
/// # Errors
/// What would be wrong with them then.
pub fn accepts(
    rules: &str,
    base: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    text: &str,
) -> Result<(), String> {
    let whole = Zeroizing::new(format!("{rules}\n{text}"));
    let mut problems = compile(whole.as_bytes(), env, base).problems.into_iter();
    match problems.find(|problem| problem.severity == Severity::Error) {
        None => Ok(()),
        Some(problem) => Err(format!("no rule fits: {}", problem.message)),
    }
}
