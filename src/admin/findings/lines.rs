//! What to write into the rules file so that writes drop what they make stale.

use crate::rules::table::{Set, Table};
use crate::suspects::Suspect;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest name that is made up for a set.
const MAX_NAME: usize = 60;

/// Names that were made up for sets, by route: no two may be alike in a file that takes all that is advised.
pub(super) type Names = BTreeMap<String, String>;

/// The lines that end what all of these writes make stale: another `drop` for the set that is there for that route
/// alone, or a set, called none of `given`. `suspects` are of one route, and there is at least one.
pub(super) fn of_route(table: &Table, suspects: &[&Suspect], given: &mut Names) -> String {
    let Some(first) = suspects.first() else {
        return String::new();
    };
    let seen = suspects
        .iter()
        .map(|one| format!("{} stale {}", one.rule, times(one.explained)));
    let seen: Vec<String> = seen.collect();
    let why = format!("# {} made {}", first.route, seen.join(", "));
    let set = set_for(table, &first.route);
    let listed = set.iter().flat_map(|set| &set.drops);
    let mut drops: Vec<String> = listed.map(|drop| drop.template.to_string()).collect();
    for suspect in suspects {
        if !drops.contains(&suspect.drop) {
            drops.push(suspect.drop.clone());
        }
    }
    let drops: Vec<String> = drops.iter().map(|drop| format!("{drop:?}")).collect();
    let drops = format!("drop = [{}]", drops.join(", "));
    match set {
        Some(set) => format!("in the set `{}`:\n{drops}  {why}", set.name),
        None => {
            let (name, route) = (name_for(table, &first.route, given), &first.route);
            format!("[[invalidate]]\nname = {name:?}\non   = [{route:?}]\n{drops}  {why}")
        }
    }
}

fn times(count: u32) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    }
}

/// The set that this route alone has. What a set has for several routes is not everything's that each does, and
/// what a soft one drops is still served.
fn set_for<'t>(table: &'t Table, route: &str) -> Option<&'t Arc<Set>> {
    let mut sets = table.sets.iter();
    sets.find(|set| match set.routes.as_slice() {
        [only] if !set.soft => format!("{} {}", only.method, only.pattern) == route,
        _ => false,
    })
}

/// `POST /api/v1/review` → `post-api-v1-review`, with a number behind it where that is taken.
fn name_for(table: &Table, route: &str, given: &mut Names) -> String {
    if let Some(name) = given.get(route) {
        return name.clone();
    }
    let signs = |letter: char| !letter.is_ascii_alphanumeric();
    let words = route.split(signs).filter(|word| !word.is_empty());
    let name = words
        .map(str::to_ascii_lowercase)
        .collect::<Vec<_>>()
        .join("-");
    let name: String = name.chars().take(MAX_NAME).collect();
    let is_given = |name: &String| given.values().any(|taken| taken == name);
    let is_taken = |name: &String| is_given(name) || table.sets.iter().any(|set| set.name == *name);
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    let name = names.find(|name| !is_taken(name)).unwrap_or_default(); // the numbers do not end
    given.insert(route.to_owned(), name.clone());
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::check::compile;
    use std::path::Path;

    const HEAD: &str = r#"
        namespace = "n"
        [proxy]
        listen = "127.0.0.1:0"
        origin = "http://127.0.0.1:1"
        [store]
        url = "memory:"
        [[cache]]
        name = "doctor-list"
        match = "GET /doctor"
        key = "doctors:list:{query}"
        query = ["page"]
        ttl = "1m"
        public = true
        [[cache]]
        name = "doctor-details"
        match = "GET /doctor/{id}"
        key = "doctors:details:{id}"
        query = []
        ttl = "1m"
        public = true
    "#;

    const SETS: &str = r#"
        [[invalidate]]
        name = "post-review"
        on = ["POST /other"]
        drop = ["doctors:*"]
        [[invalidate]]
        name = "reviewed"
        on = ["PATCH /review/{id}"]
        drop = ["doctors:details:*"]
    "#;

    fn table(text: &str) -> Table {
        let checked = compile(text.as_bytes(), &|_| None, Path::new("."));
        checked.table.expect("rules that can be used")
    }

    fn suspect(route: &str, rule: &str, drop: &str, explained: u32) -> Suspect {
        Suspect {
            route: route.to_owned(),
            rule: rule.to_owned(),
            drop: drop.to_owned(),
            explained,
            contradicted: 0,
            changed: 0,
            unchanged: 0,
            within_ms: 0,
        }
    }

    #[test]
    fn a_route_without_a_set_gets_one_that_can_be_used() {
        let table_now = table(&format!("{HEAD}{SETS}"));
        let list = suspect("POST /review", "doctor-list", "doctors:list:*", 14);
        let named = "doctors:details:{body.doctorId}";
        let details = suspect("POST /review", "doctor-details", named, 1);
        let lines = of_route(&table_now, &[&list, &details], &mut Names::new());
        assert!(lines.contains("name = \"post-review-2\""), "{lines}");
        let why = "# POST /review made doctor-list stale 14 times, doctor-details stale once";
        assert!(lines.ends_with(why), "{lines}");
        let then = table(&format!("{HEAD}{SETS}{lines}\n"));
        assert_eq!(then.sets[2].drops.len(), 2);
    }

    #[test]
    fn the_set_of_a_route_gets_another_line() {
        let table = table(&format!("{HEAD}{SETS}"));
        let list = suspect("PATCH /review/{id}", "doctor-list", "doctors:list:*", 3);
        assert_eq!(
            of_route(&table, &[&list], &mut Names::new()),
            "in the set `reviewed`:\ndrop = [\"doctors:details:*\", \"doctors:list:*\"]  \
             # PATCH /review/{id} made doctor-list stale 3 times"
        );
    }

    #[test]
    fn no_two_routes_get_sets_of_one_name_and_one_route_gets_one() {
        let table = table(HEAD);
        let mut given = Names::new();
        let mut name = |route: &str| {
            let lines = of_route(
                &table,
                &[&suspect(route, "doctor-list", "doctors:*", 3)],
                &mut given,
            );
            let line = lines.lines().find(|line| line.starts_with("name"));
            line.expect("a name").to_owned()
        };
        assert_eq!(name("POST /a-b"), "name = \"post-a-b\"");
        assert_eq!(name("POST /a/b"), "name = \"post-a-b-2\"");
        assert_eq!(name("POST /a-b"), "name = \"post-a-b\"");
    }

    #[test]
    fn a_soft_set_is_left_alone_and_the_line_gets_a_set_that_is_not() {
        let table = table(&format!("{HEAD}{SETS}        soft = true\n"));
        let list = suspect("PATCH /review/{id}", "doctor-list", "doctors:list:*", 3);
        let lines = of_route(&table, &[&list], &mut Names::new());
        assert!(
            lines.starts_with("[[invalidate]]\nname = \"patch-review-id\""),
            "{lines}"
        );
        assert!(lines.contains("drop = [\"doctors:list:*\"]"), "{lines}");
    }
}
