//! Rules: the written form (`file`), the checks that report every problem at once (`check`), and
//! the compiled form that a request meets (`table`).

pub mod problem; // what is wrong with a file, where, and what to do
pub mod pattern; // `METHOD /path/{param}` and the routing that picks one
pub mod template; // `doctors:details:{doctorId | lower}`
pub mod settings; // the checked form of the tables that are not rules
pub mod table; // the compiled form: everything a request asks
pub mod file; // the written form: TOML → values with spans
pub mod check; // written → compiled, or all problems
