use super::*;

fn list(more: &str) -> String {
    rule("list", "GET /doctor", "doctors:list:{query}", more)
}

/// What is said of a set that warms this, with these rules.
fn said(rules: &str, warm: &str) -> Vec<(Severity, String, String)> {
    let set =
        "[[invalidate]]\nname = \"set\"\non = \"PATCH /doctor/{id}\"\ndrop = [\"doctors:*\"]\n";
    let text = format!("{rules}{set}warm = {warm}\n");
    let (start, problems) = (
        text.rfind("warm = ").expect("it is there"),
        check(&text).problems,
    );
    let of_warm = problems.into_iter().filter(|problem| {
        let span = problem.span.as_ref().expect("a place");
        span.start >= start
    });
    of_warm
        .map(|problem| (problem.severity, problem.message, problem.help))
        .collect()
}

/// The only thing that is said.
fn one(rules: &str, warm: &str) -> (Severity, String, String) {
    let mut all = said(rules, warm);
    assert_eq!(all.len(), 1, "{warm}: {all:?}");
    all.remove(0)
}

fn public() -> String {
    doctor("public = true") + &list("public = true\nquery = [\"limit\"]")
}

#[test]
fn paths_that_public_rules_keep_are_compiled() {
    let warm = r#"["/doctor", "GET /doctor?limit=10", "/Doctor/{id}/", "/doctor/{response.data.id}", "/doctor/dr-{body.id}"]"#;
    assert_eq!(said(&public(), warm), []);
    let text = format!(
        "{}{}warm = {warm}\n",
        public(),
        set("PATCH /doctor/{id}", "doctors:*")
    );
    let shown: Vec<String> = table(&text).sets[0]
        .warm
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(shown[..2], ["/doctor", "/doctor?limit=10"]);
    assert_eq!(shown.len(), 5);
    let single = format!(
        "{}{}warm = \"/doctor\"\n",
        public(),
        set("PATCH /doctor/{id}", "doctors:*")
    );
    assert_eq!(table(&single).sets[0].warm.len(), 1);
}

#[test]
fn a_path_that_nobody_could_be_served_is_refused_with_what_to_do() {
    let cases = [
        (
            public(),
            r#""/doctors""#,
            "no rule keeps",
            "did you mean `/doctor`?",
        ),
        (public(), r#""/x/y/z""#, "no rule keeps", "compare it"),
        (
            doctor(""),
            r#""/doctor/1""#,
            "is not public",
            "`public = true`",
        ),
        (
            public() + &rule("ask", "POST /ask", "ask:{body.a}", "public = true"),
            r#""/ask""#,
            "reads this by POST",
            "leave it out",
        ),
        (
            public(),
            r#""POST /doctor""#,
            "by GET",
            "write the path alone",
        ),
        (public(), r#""doctor""#, "begins with `/`", "without scheme"),
        (public(), r#""/doctor/{di}""#, "not a parameter", "`{id}`"),
        (
            doctor("public = true"),
            r#""/doctor/1?limit=1""#,
            "passes",
            "list it in `query`",
        ),
    ];
    for (rules, warm, message, help) in cases {
        let (severity, said, todo) = one(&rules, warm);
        assert_eq!(severity, Severity::Error, "{said}");
        assert!(
            said.contains(message) && todo.contains(help),
            "{warm}: {said}; {todo}"
        );
    }
    let many = vec!["\"/doctor\""; 17].join(", ");
    assert!(
        one(&public(), &format!("[{many}]"))
            .1
            .contains("more than 16")
    );
}

#[test]
fn no_credential_becomes_part_of_a_url() {
    let identity = "[identity]\ntoken = [\"cookie:sid\", \"header:x-token\", \"header:authorization\"]\n\
        verify = { algorithm = \"HS256\", secret = \"0123456789abcdef0123456789abcdef\" }\n";
    let rules = identity.to_owned() + &public();
    for source in [
        "header.authorization",
        "header.Cookie",
        "header.x-token",
        "cookie.sid",
        "cookie.sid | lower",
    ] {
        for path in [
            format!("\"/doctor/{{id}}?limit={{{source}}}\""),
            format!("\"/doctor/{{{source}}}\""),
        ] {
            let said = said(&rules, &path);
            let is_told = said.iter().any(|(severity, said, help)| {
                *severity == Severity::Error
                    && said.contains("credential into a URL")
                    && help.contains("leave the path out")
            });
            assert!(is_told, "{path}: {said:?}");
        }
    }
    for source in ["claims.page", "cookie.lang", "header.x-page"] {
        let path = format!("\"/doctor/{{{source}}}\"");
        assert_eq!(said(&rules, &path), [], "names a page of everybody's");
    }
    let unnamed = one(&public(), r#""/doctor/{header.authorization}""#);
    assert!(unnamed.1.contains("credential"), "{unnamed:?}");
}

#[test]
fn a_path_without_effect_is_warned_of() {
    let stage = |stage: &str| doctor(&format!("public = true\nstage = \"{stage}\""));
    let other = public() + &rule("other", "GET /other", "other", "public = true\nquery = []");
    let cases = [
        (stage("observe"), r#""/doctor/1""#, "is not \"on\""),
        (stage("off"), r#""/doctor/1""#, "is not \"on\""),
        (other, r#""/other""#, "does not drop `other`"),
        (public(), r#""/doctor?limt=1""#, "`limt` does not shape"),
    ];
    for (rules, warm, message) in cases {
        let (severity, said, _) = one(&rules, warm);
        assert_eq!(severity, Severity::Warning, "{said}");
        assert!(said.contains(message), "{warm}: {said}");
    }
    // What is dropped because it is kept for the write's own path is dropped all the same.
    let own = doctor("public = true").replace("doctors:details", "others");
    let list = list("public = true");
    assert_eq!(said(&(own + &list), r#""/doctor/{id}""#), []);
}

#[test]
fn a_rule_that_is_off_is_in_nobodys_way() {
    let off = rule("me", "GET /doctor/me", "me:{query}", "stage = \"off\"");
    assert_eq!(said(&(off + &public()), r#""/doctor/me""#), []);
    let on = rule("me", "GET /doctor/me", "me:{query}", "");
    assert!(
        one(&(on + &public()), r#""/doctor/me""#)
            .1
            .contains("not public")
    );
}
