//! Who asks, as far as a rule cares.

use crate::head::Head;
use crate::identity::{self, Claims, Credential, Presented, Verifier};
use crate::live::Live;
use crate::outcome::Detail;
use crate::rules::table::Rule;
use crate::rules::template::{Source, Template};
use hyper::header::AUTHORIZATION;

/// Who asks, as far as the rule cares.
#[derive(Clone, Default)]
pub(super) struct Who {
    pub(super) claims: Option<Claims>,
    pub(super) credential: Option<Credential>,
}

impl Who {
    /// The role, where the rule admits several and its key does not say which of them asks: what one
    /// was shown, no other is served.
    pub(super) fn role_to_tell(&self, rule: &Rule, claim: &str) -> Option<String> {
        let claims = self.claims.as_ref().filter(|_| rule.roles.len() > 1)?;
        let is_told = rule.key.tells_roles_apart(claim, &rule.roles);
        (!is_told).then(|| claims.text(claim))?
    }
}

pub(super) fn identify(rule: &Rule, live: &Live, head: &Head) -> Result<Who, Detail> {
    if rule.public {
        return Ok(Who::default());
    }
    let (settings, headers) = (live.table.identity.as_ref(), &head.parts.headers);
    let token_keyed = rule
        .key
        .placeholders()
        .any(|placeholder| placeholder.source == Source::Token);
    let claims_keyed = || claims_keyed(&rule.key);
    let needs_identity = token_keyed || claims_keyed().next().is_some() || !rule.roles.is_empty();
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
    let now = live.ground.clock.now_ms() / 1000;
    let verify = |verifier: &Verifier| verifier.verify(credential.token.reveal(), now);
    let claims = live
        .verifier
        .as_ref()
        .map(verify)
        .transpose()
        .map_err(|_| Detail::BadToken)?;
    let claim = |name: &str| claims.as_ref().and_then(|claims| claims.text(name));
    if !rule.roles.is_empty()
        && !claim(&settings.role).is_some_and(|role| rule.roles.contains(&role))
    {
        return Err(Detail::Role);
    }
    if claims_keyed().any(|name| claim(name).is_none()) {
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
