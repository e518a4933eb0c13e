//! Names that speak of whoever asks: words of paths, cookies, headers and roles.

use crate::rules::file::Draft;
use crate::rules::pattern::Step;

/// Words of a path that speak of whoever asks.
pub const PERSONAL: [&str; 9] = [
    "me", "my", "self", "mine", "account", "profile", "session", "whoami", "own",
];

/// Words of a path that are somebody's own in one service and everybody's in another.
pub const OFTEN_PERSONAL: [&str; 32] = [
    "accounts",
    "address",
    "addresses",
    "balance",
    "basket",
    "billing",
    "bookmarks",
    "cart",
    "carts",
    "checkout",
    "current",
    "dashboard",
    "favorites",
    "favourites",
    "inbox",
    "invoices",
    "messages",
    "notifications",
    "order",
    "orders",
    "payments",
    "permissions",
    "preferences",
    "prescriptions",
    "profiles",
    "records",
    "sessions",
    "settings",
    "subscriptions",
    "tickets",
    "wallet",
    "wishlist",
];

/// Words in the names of cookies and headers that tell who asks.
pub const SESSIONS: [&str; 14] = [
    "auth",
    "email",
    "jwt",
    "login",
    "remember",
    "sess",
    "session",
    "sessionid",
    "sid",
    "token",
    "uid",
    "user",
    "userid",
    "username",
];

/// Words in the names of roles whose people look after what is others', rather than have something of their
/// own.
pub const STEWARDS: [&str; 10] = [
    "admin",
    "administrator",
    "admins",
    "moderator",
    "operator",
    "root",
    "staff",
    "superadmin",
    "superuser",
    "support",
];

/// The first route that has one of these words, and the word.
pub fn route_with<'d>(draft: &'d Draft, of: &[&str]) -> Option<(usize, &'d str)> {
    let routes = draft.rule.routes.iter().enumerate();
    let mut literals = routes.flat_map(|(at, route)| {
        let steps = route.pattern.steps().iter();
        steps.filter_map(move |step| match step {
            Step::Literal(text) => Some((at, text.as_str())),
            _ => None,
        })
    });
    literals.find(|(_, text)| words(text).iter().any(|word| of.contains(&word.as_str())))
}

/// The first route that ends with `{rest*}`.
pub fn takes_all_below(draft: &Draft) -> Option<usize> {
    let rest = |step: &Step| matches!(step, Step::Rest(_));
    let mut routes = draft.rule.routes.iter();
    routes.position(|route| route.pattern.steps().iter().any(rest))
}

/// `my-appointment`, `my_appointment`, `myAppointment` → `my`, `appointment`.
pub fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower_before = false;
    for c in text.chars() {
        if c == '-' || c == '_' || c == '.' || (c.is_ascii_uppercase() && lower_before) {
            words.push(String::new());
        }
        lower_before = c.is_ascii_lowercase();
        if c.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(c.to_ascii_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_where_people_split_them() {
        assert_eq!(words("my-appointment"), ["my", "appointment"]);
        assert_eq!(words("update_MyProfile"), ["update", "my", "profile"]);
        assert_eq!(words("connect.sid"), ["connect", "sid"]);
        assert_eq!(words("ME"), ["me"]);
        assert_eq!(words("medicine"), ["medicine"]);
    }
}
