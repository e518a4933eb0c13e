//! Written → compiled, or everything that is wrong, at once.

mod build;
mod credentials;
mod drops;
mod fingerprint;
mod identity;
mod keys;
mod layout;
mod limits;
pub(crate) mod personal; // which words speak of whoever asks
mod roles;
mod routes;
mod soft;
mod warm;

use super::file::{self, File};
use super::problem::{Problem, Severity, Variable, render};
use super::read::Env;
use super::settings::Listen;
use super::table::Table;
use std::cell::RefCell;
use std::path::{Path, PathBuf};

/// What became of a file.
#[derive(Debug)]
pub struct Checked {
    /// The compiled rules; `None` where any problem is an error.
    pub table: Option<Table>,
    /// Errors and warnings, in the order of the file.
    pub problems: Vec<Problem>,
    /// The files that the rules name, whether or not they could be read.
    pub files: Vec<PathBuf>,
    /// One of them could not be, which another time it may be.
    pub unread: bool,
}

impl Checked {
    /// All problems as a person reads them: line, caret, cause, remedy. Empty where there is none.
    pub fn render(&self, file_name: &str, text: &[u8], color: bool) -> String {
        render(
            file_name,
            &String::from_utf8_lossy(text),
            &self.problems,
            color,
        )
    }
}

/// Compiles a rules file. `env` looks variables up; files that it names are looked for in
/// `base_dir`.
pub fn compile(text: &[u8], env: Env<'_>, base_dir: &Path) -> Checked {
    let (file, mut problems) = noting(env, |env| {
        let (file, mut problems) = file::read(text, env, base_dir);
        if let Some(file) = &file {
            judge(file, &mut problems);
        }
        (file, problems)
    });
    let unread = file.as_ref().is_some_and(|file| file.unread);
    let files = file.as_ref().map(|file| file.files.clone());
    problems.sort_by_key(|problem| problem.span.as_ref().map(|span| (span.start, span.end)));
    problems.dedup();
    let refused = problems
        .iter()
        .any(|problem| problem.severity == Severity::Error);
    // Each stand-in for an unreadable value goes with an error: none is compiled.
    let mut table = file.filter(|_| !refused).map(build::table);
    if let Some(table) = &mut table {
        let placed = |problem: &Problem| match problem.line(text) {
            Some(line) => format!("{problem} (line {line})"),
            None => problem.to_string(),
        };
        table.warnings = problems.iter().map(placed).collect();
    }
    Checked {
        table,
        problems,
        files: files.unwrap_or_default(),
        unread,
    }
}

/// What is wrong with tables that are each well-formed.
fn judge(file: &File, problems: &mut Vec<Problem>) {
    doors(file, problems);
    routes::check(file, problems);
    keys::check(file, problems);
    credentials::check(file, problems);
    identity::check(file, problems);
    roles::check(file, problems);
    drops::check(file, problems);
    soft::check(file, problems);
    warm::check(file, problems);
    limits::check(file, problems);
    if file.lacks.caches && file.caches.is_empty() {
        let help = "every request passes; add a [[cache]] table";
        let problem = Problem::of_file("the file has no cache rule", help);
        problems.push(Problem {
            severity: Severity::Warning,
            ..problem
        });
    }
}

/// Reads something of a file, and sees to it that no problem shows the value of a variable.
pub(super) fn noting<T>(
    env: Env<'_>,
    read: impl FnOnce(Env<'_>) -> (T, Vec<Problem>),
) -> (T, Vec<Problem>) {
    let filled_in = RefCell::default();
    let (read, mut problems) = read(&|name: &str| noted(&filled_in, name, env));
    let values = filled_in.take();
    problems.iter_mut().for_each(|one| one.conceal(&values));
    (read, problems)
}

/// Looks a variable up and remembers its value, which no problem may show, wherever it was written.
fn noted(seen: &RefCell<Vec<Variable>>, name: &str, env: Env<'_>) -> Option<String> {
    let value = env(name)?;
    let variable = Variable::new(name, &value);
    seen.borrow_mut().push(variable);
    Some(value)
}

/// Two listeners cannot have one address; port 0 is another one each time.
fn doors(file: &File, problems: &mut Vec<Problem>) {
    let any_port = |listen: &Listen| matches!(listen, Listen::Tcp(address) if address.port() == 0);
    let same = file
        .admin
        .as_ref()
        .filter(|admin| admin.listen == file.proxy.listen);
    if same.is_some_and(|admin| !any_port(&admin.listen)) {
        let help = "give `[admin] listen` another port";
        problems.push(Problem::of_file(
            "[proxy] and [admin] listen on the same address",
            help,
        ));
    }
}

#[cfg(test)]
mod tests;
