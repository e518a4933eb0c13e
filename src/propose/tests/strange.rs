use super::{at, by, get, proposed, with};
use crate::traffic::Exchange;
use proptest::prelude::*;

/// Paths, names and values as strangers make them, with what is never to be shown.
fn strange() -> impl Strategy<Value = Exchange> {
    let piece = prop_oneof![
        "[a-z]{1,8}",
        "[a-zA-Z0-9_~!$'()*+,;=:@.\\[\\]{}|\"#^` -]{1,12}",
        "(%[0-9A-Fa-f]{2}){1,4}",
        "[0-9]{1,5}",
    ];
    let path = prop::collection::vec(piece.clone(), 0..4);
    let query = prop::collection::vec((piece, 0..3u8), 0..3);
    (0..40u64, path, query, 0..3u8, 0..2u8).prop_map(|(n, path, query, who, body)| {
        let query: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{name}=s3cret{value}"))
            .collect();
        let target = format!("/{}?{}", path.join("/"), query.join("&"));
        let asked = get(at(n), &target, &format!("{{\"data\":\"s3cret{body}\"}}"));
        match who {
            0 => asked,
            1 => by(asked, "s3cret@a", "s3cret"),
            _ => with(asked, "cookie", "s\"id]=s3cret; x y=s3cret"),
        }
    })
}

proptest! {
    #[test]
    fn whatever_was_asked_what_is_proposed_is_sound_and_tells_nothing(
        asks in prop::collection::vec(strange(), 0..12), times in 1..4usize
    ) {
        let again = asks.iter().cycle().take(asks.len() * times).cloned();
        let text = proposed(again.collect()); // which holds it against the rules
        prop_assert!(!text.contains("s3cret"), "{text}");
    }
}
