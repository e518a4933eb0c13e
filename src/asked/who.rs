//! Who asks, as far as a rule cares.

use crate::identity::{self, Claims, Credential, Presented, Verifier};
use crate::outcome::Detail;
use crate::rules::settings::IdentitySettings;
use crate::rules::table::Rule;
use crate::rules::template::{Source, Template};
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

/// Who may be asking, and how that is found out.
#[derive(Clone, Copy)]
pub struct Identities<'l> {
    /// `[identity]`
    pub settings: Option<&'l IdentitySettings>,
    /// Made of `verify`.
    pub verifier: Option<&'l Verifier>,
}

/// Who asks, as far as the rule cares.
#[derive(Default)]
pub(super) struct Who {
    pub(super) claims: Option<Claims>,
    pub(super) credential: Option<Credential>,
}

impl Who {
    /// The role, where the rule admits several and its key does not say which of them asks: what one
    /// was shown, no other is served.
    pub(super) fn role_to_tell(&self, rule: &Rule, claim: &str) -> Option<String> {
        let is_told = rule.key.tells_roles_apart(claim, &rule.roles);
        let claims = self.claims.as_ref()?;
        (rule.roles.len() > 1 && !is_told).then(|| claims.text(claim))?
    }
}

pub(super) fn identify(
    rule: &Rule,
    identities: Identities,
    headers: &HeaderMap,
    now: u64,
) -> Result<Who, Detail> {
    if rule.public {
        return Ok(Who::default());
    }
    let settings = identities.settings;
    let claims_keyed: Vec<&str> = claims_keyed(&rule.key).collect();
    let token_keyed = rule
        .key
        .placeholders()
        .any(|placeholder| placeholder.source == Source::Token);
    let needs_identity = token_keyed || !claims_keyed.is_empty() || !rule.roles.is_empty();
    let (Some(settings), true) = (settings, needs_identity) else {
        return if identity::any_credential(settings, headers) {
            Err(Detail::Credential)
        } else {
            Ok(Who::default())
        };
    };
    let credential = match identity::presented(settings, headers) {
        Presented::One(credential) => credential,
        Presented::Nothing => return Err(Detail::NoIdentity),
        Presented::Foreign => return Err(Detail::BadToken),
        Presented::Ambiguous => return Err(Detail::Credential),
    };
    let verify = |verifier: &Verifier| verifier.verify(credential.token.reveal(), now / 1000);
    let claims = identities
        .verifier
        .map(verify)
        .transpose()
        .map_err(|_| Detail::BadToken)?;
    let claim = |name: &str| claims.as_ref().and_then(|claims| claims.text(name));
    if !rule.roles.is_empty()
        && !claim(&settings.role).is_some_and(|role| rule.roles.contains(&role))
    {
        return Err(Detail::Role);
    }
    if claims_keyed.iter().any(|name| claim(name).is_none()) {
        return Err(Detail::NoIdentity);
    }
    Ok(Who {
        claims,
        credential: Some(credential),
    })
}

/// Whether the whole of `Authorization` is in the key.
pub(super) fn keys_authorization(rule: &Rule) -> bool {
    let mut placeholders = rule.key.placeholders();
    placeholders.any(|placeholder| placeholder.source == Source::Header(AUTHORIZATION))
}

fn claims_keyed(template: &Template) -> impl Iterator<Item = &str> {
    template
        .placeholders()
        .filter_map(|placeholder| match &placeholder.source {
            Source::Claim(name) => Some(name.as_str()),
            _ => None,
        })
}
