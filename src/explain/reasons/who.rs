//! Who asks, and why that does not fit.

use super::{Context, Told, listed};
use crate::identity::token::BadToken;
use crate::identity::{self, Claims, Presented};
use crate::rules::settings::Scheme;
use crate::rules::template::Source;
use hyper::header::HeaderName;

impl Context<'_> {
    fn presented(&self) -> Presented {
        let identity = self.table().identity.as_ref();
        let headers = &self.case.head.parts.headers;
        identity.map_or(Presented::Nothing, |settings| {
            identity::presented(settings, headers)
        })
    }

    fn verified(&self) -> Option<Result<Claims, BadToken>> {
        let Presented::One(credential) = self.presented() else {
            return None;
        };
        let live = self.case.live;
        let now = live.ground.clock.now_ms() / 1000;
        let verifier = live.verifier.as_ref()?;
        Some(verifier.verify(credential.token.reveal(), now))
    }

    pub(super) fn credential(&self) -> Told {
        if self.presented() == Presented::Ambiguous {
            return Told::new(
                "it carries two credentials that differ, and the origin may go by either",
                self.table().places.identity.of("token"),
                "send one, or the same in both places",
            );
        }
        let identity = self.table().identity.as_ref();
        let carried = identity::credentials(identity, &self.case.head.parts.headers);
        let names: Vec<&str> = carried.keys().map(HeaderName::as_str).collect();
        Told::new(
            format!(
                "it carries a credential in {}, and the rule does not say whether that shapes the answer",
                listed(&names)
            ),
            self.rule.lines.of("public"),
            "if everybody gets the same: `public = true`; if not: who asks into the key, as `{claims.NAME}` or `{token}`",
        )
    }

    pub(super) fn bad_token(&self) -> Told {
        let places = &self.table().places.identity;
        match self.verified() {
            Some(Err(BadToken::Malformed)) if self.has_scheme() => Told::new(
                "its token begins with `Bearer `, and `scheme = \"raw\"` takes the whole value for the token",
                places.of("scheme"),
                "if the origin takes it so: `scheme = \"bearer\"`, or `\"either\"` for tokens with and without it",
            ),
            Some(Err(bad)) => {
                let (why, key) = told(bad);
                let remedy = "if callers with it are to be served, mend what issues it or [identity]; the origin decides meanwhile";
                Told::new(format!("its token {why}"), places.of(key), remedy)
            }
            _ => Told::new(
                "its credential is of another kind than `[identity]` names: another scheme, or a header that is not listed",
                places.of("scheme"),
                "`scheme = \"either\"` takes tokens with and without `Bearer`; `token = [...]` lists where they are looked for",
            ),
        }
    }

    /// Whether what is taken for a token has its scheme before it.
    fn has_scheme(&self) -> bool {
        const BEARER: &str = "bearer ";
        let identity = self.table().identity.as_ref();
        let is_raw = identity.is_some_and(|settings| settings.scheme == Scheme::Raw);
        let Presented::One(credential) = self.presented() else {
            return false;
        };
        let begins = credential.token.reveal().get(..BEARER.len());
        is_raw && begins.is_some_and(|word| word.eq_ignore_ascii_case(BEARER))
    }

    pub(super) fn no_identity(&self) -> Told {
        let line = self.rule.lines.of("key");
        let Some(Ok(claims)) = self.verified() else {
            let why = match self.presented() {
                Presented::Nothing => "it carries no token where `[identity] token` looks for one",
                _ => "the key names claims of whoever asks, and no token could be verified",
            };
            return Told::new(
                why,
                line,
                "nothing to do for callers who are not logged in: they get the origin's own answer",
            );
        };
        let mut sources = self.rule.key.placeholders().map(|one| &one.source);
        let lacking = sources.find_map(|source| match source {
            Source::Claim(name) if claims.text(name).is_none() => Some(name.as_str()),
            _ => None,
        });
        Told::new(
            format!(
                "its token has no claim {} that is a text or a number",
                listed(lacking.as_slice())
            ),
            line,
            "name a claim that every token has, or `{token}`",
        )
    }

    pub(super) fn role(&self) -> Told {
        let settings = self.table().identity.as_ref();
        let claim = settings.map_or("role", |settings| settings.role.as_str());
        let role = self
            .verified()
            .and_then(Result::ok)
            .and_then(|claims| claims.text(claim));
        let why = match role {
            Some(role) => {
                let mut listed = self.rule.roles.iter();
                let but = match listed.any(|one| one.to_lowercase() == role.to_lowercase()) {
                    true => ": capital and small letters count",
                    false => "",
                };
                let role = role.escape_debug();
                format!("its role is `{role}`, which `roles` does not list{but}")
            }
            None => format!("no verified token says its role (claim `{claim}`)"),
        };
        let remedy = "list the role, if it may see these answers and the key tells roles apart";
        Told::new(why, self.rule.lines.of("roles"), remedy)
    }
}

/// What is wrong with a token, and the key of `[identity]` that it is held against.
fn told(bad: BadToken) -> (&'static str, &'static str) {
    match bad {
        BadToken::Malformed => (
            "is no JWT: three parts of base64url that hold JSON",
            "verify",
        ),
        BadToken::Algorithm => (
            "names another algorithm than `verify` pins, or has critical extensions",
            "verify",
        ),
        BadToken::Signature => ("is not signed with the key of `verify`", "verify"),
        BadToken::UnknownKey => (
            "is signed with a key that is not known here; keys behind a URL are fetched by a running sidecar: ask it by POST /api/explain",
            "verify",
        ),
        BadToken::Audience => ("is meant for another audience (`aud`)", "verify"),
        BadToken::Issuer => ("is of another issuer (`iss`)", "verify"),
        BadToken::Expired => ("has expired (`exp`)", "leeway"),
        BadToken::NotYetValid => ("is not valid yet (`nbf`)", "leeway"),
        BadToken::Claims => ("has an `exp` or `nbf` that is not a number", "verify"),
    }
}
