use super::run_with;

const README: &str = include_str!("../../../README.md");

/// The rules files in it: the whole one, with each rule that stands for itself behind it.
fn rules() -> String {
    let blocks = README.split("```toml\n").skip(1);
    let blocks = blocks.filter_map(|block| block.split("```").next());
    let (whole, rest): (Vec<_>, Vec<_>) = blocks
        .filter(|block| block.contains("[[cache]]"))
        .partition(|block| block.starts_with("namespace"));
    assert_eq!(whole.len(), 1, "one file begins with its namespace");
    assert!(rest.len() >= 5, "the recipes: {}", rest.len());
    [whole, rest].concat().join("\n")
}

#[tokio::test]
async fn what_it_tells_people_to_write_is_sound() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("rules.toml");
    std::fs::write(&path, rules()).expect("a rules file");
    let path = path.to_str().expect("a path");
    let set = [("JWT_SECRET", "0123456789abcdef0123456789abcdef")];
    let ended = run_with(&["check", path], &set).await.succeeds();
    assert!(ended.out.contains("no problem"), "{}", ended.out);
    let warnings: Vec<_> = ended
        .err
        .lines()
        .filter(|line| line.starts_with("warning"))
        .collect();
    let meant = "warning: no set ever drops `suggestion`: only time ends its answers";
    assert_eq!(warnings, [meant], "{}", ended.err);
}
