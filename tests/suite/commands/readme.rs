use super::{Ended, run_with};
use crate::process::command;

const README: &str = include_str!("../../../README.md");

/// The rules files in it: the whole one, with each rule that stands for itself behind it.
fn rules() -> String {
    let blocks = README.split("```toml\n").skip(1);
    let blocks = blocks.filter_map(|block| block.split("```").next());
    let (whole, rest): (Vec<_>, Vec<_>) = blocks
        .filter(|block| block.contains("[[cache]]") || block.contains("[[limit]]"))
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

/// The words as they stand in the code.
fn details() -> Vec<&'static str> {
    let code = include_str!("../../../src/outcome.rs");
    let arms = code
        .lines()
        .filter(|line| line.trim().starts_with("Detail::"));
    arms.filter_map(|arm| arm.split("=> \"").nth(1)?.split('"').next())
        .collect()
}

#[test]
fn each_word_of_a_detail_stands_in_its_tables() {
    let words = details();
    assert!(words.len() >= 36, "{words:?}");
    let tables: String = README
        .lines()
        .filter(|line| line.starts_with('|'))
        .collect();
    let lacks = |word: &&&str| !tables.contains(&format!("`{word}`"));
    let missing: Vec<_> = words.iter().filter(lacks).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test]
async fn what_it_says_of_a_mistake_is_what_the_command_says() {
    let toml = README.split("```toml\n").skip(1);
    let mut blocks = toml.filter_map(|block| block.split("```").next());
    let sound = blocks.find(|block| block.starts_with("namespace"));
    let sound = sound.expect("the whole file");
    let wrong = sound
        .replacen(":{productId}:{query}", ":{productID}:{query}", 1)
        .replacen("drop = [\"reviews:", "drop = [\"review:", 1);
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("rules.toml"), wrong).expect("a rules file");
    let mut command = command();
    command
        .args(["check", "rules.toml"])
        .env("JWT_SECRET", "0123456789abcdef0123456789abcdef")
        .current_dir(directory.path());
    let ended = tokio::task::spawn_blocking(move || command.output()).await;
    let ended = Ended::of(&ended.expect("no panic").expect("the command starts"));
    let (_, shown) = README
        .split_once("first drop it says:\n\n```\n")
        .expect("it");
    let (shown, _) = shown.split_once("```").expect("its end");
    assert_eq!(ended.err.trim_end(), shown.trim_end());
}
