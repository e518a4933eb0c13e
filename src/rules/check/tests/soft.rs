use super::*;

/// What is warned of where this rule is softly dropped by this.
fn warned(rule: &str, drop: &str) -> Vec<String> {
    let text = format!("{IDENTITY}{rule}{}soft = true", set("PUT /a", drop));
    table(&text);
    let problems = check(&text).problems.into_iter();
    let of_soft = problems.filter(|problem| problem.label.contains("soft"));
    of_soft.map(|problem| problem.message).collect()
}

fn personal(more: &str) -> String {
    rule("mine", "GET /mine", "mine:{claims.sub}", more)
}

#[test]
fn a_set_that_says_soft_is_compiled_so() {
    let soft =
        doctor("public = true\nstale_while_revalidate = \"30s\"") + &set("PUT /a", "doctors:*");
    assert!(!table(&soft).sets[0].soft);
    assert!(table(&format!("{soft}soft = true")).sets[0].soft);
    assert!(!table(&format!("{soft}soft = false")).sets[0].soft);
}

#[test]
fn soft_drops_are_warned_of_where_they_are_hard_or_delay_ones_own_changes() {
    let window = "public = true\nstale_while_revalidate = \"30s\"";
    let none: Vec<String> = Vec::new();
    assert_eq!(warned(&doctor(window), "doctors:*"), none);
    let by_origin = doctor("public = true").replace("\"5m\"", "\"origin\"");
    assert_eq!(warned(&by_origin, "doctors:*"), none);
    for never in [
        "public = true",
        "public = true\nstale_while_revalidate = \"0s\"",
    ] {
        let warned = warned(&doctor(never), "doctors:*");
        assert_eq!(
            warned,
            ["`soft` drops `doctor` for good: it is never served stale"]
        );
    }
    assert_eq!(
        warned(&doctor(window), "*"),
        ["`*` drops everything for good, `soft` or not"]
    );
    let mine = warned(&personal("stale_while_revalidate = \"30s\""), "mine:*");
    assert!(
        mine.len() == 1 && mine[0].contains("`mine` is personal"),
        "{mine:?}"
    );
    assert!(warned(&personal(""), "mine:*")[0].contains("for good"));
}

#[test]
fn who_is_not_verified_is_never_served_stale() {
    let identity = "[identity]\ntoken = \"header:authorization\"\n";
    let mine = rule(
        "mine",
        "GET /mine",
        "mine:{token}",
        "stale_while_revalidate = \"30s\"",
    );
    let text = format!("{identity}{mine}{}soft = true", set("PUT /a", "mine:*"));
    let mut problems = check(&text).problems.into_iter();
    assert!(problems.any(|problem| problem.message.contains("is not verified")));
}
