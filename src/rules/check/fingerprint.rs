//! The digest of all that decides what an entry of a rule means.

use crate::digest::{Digest, Digester};
use crate::rules::settings::{
    IdentitySettings, KeySource, ProxySettings, VerifyKey, VerifySettings,
};
use crate::rules::table::{Rule, Ttl};

/// Two rules with the same fingerprint mean the same by an entry under the same key. How long it
/// lives, and what the rule is called, is no part of it. Every field is taken apart here, so a new
/// one does not compile until somebody has decided whether it counts.
pub fn fingerprint(
    rule: &Rule,
    proxy: &ProxySettings,
    identity: Option<&IdentitySettings>,
) -> Digest {
    let Rule {
        index: _,
        name: _,
        routes,
        key,
        ttl,
        negative_ttl: _,
        local_ttl: _,
        local_ttl_max: _,
        stale_while_revalidate: _,
        stale_if_error: _,
        refresh_ahead: _,
        public,
        roles,
        query,
        body,
        store_if,
        statuses,
        coalesce: _,
        ignore_origin_cache_control,
        strip,
        vary,
        forward,
        stage,
        nodes,
        fingerprint: _,
        lines: _,
    } = rule;
    let mut digester = Digester::new("rule");
    let mut part = |text: String| {
        digester.part(text.as_bytes());
    };
    for route in routes {
        part(format!("{} {}", route.method, route.pattern.text()));
    }
    part(key.to_string());
    // The debug form of plain data tells different values apart, which is all that is asked of it.
    part(format!(
        "{public:?} {roles:?} {query:?} {body:?} {store_if:?} {statuses:?}"
    ));
    part(format!(
        "{ignore_origin_cache_control:?} {strip:?} {vary:?} {forward:?} {nodes:?}"
    ));
    // What the origin lets be kept is more than what a rule would, and is learnt to vary otherwise.
    part(format!("{:?}", *ttl == Ttl::Origin));
    // What an observed rule kept was shaped by the whole of a client's request; nobody is served it.
    part(format!("{stage:?}"));
    part(format!("{:?} {:?}", proxy.hosts, proxy.routing));
    if let Some(identity) = identity {
        part(who(identity));
    }
    digester.finish()
}

/// Whom a verified claim speaks of. The same e-mail address of another issuer is another person's;
/// keys come and go, and are no part of it.
pub fn who(identity: &IdentitySettings) -> String {
    let IdentitySettings {
        token,
        scheme,
        verify,
        role,
        leeway: _,
    } = identity;
    let verified = verify.as_ref().map(|verify| {
        let VerifySettings {
            algorithm,
            key,
            audience,
            issuer,
        } = verify;
        let published_at = match key {
            VerifyKey::Jwks(source @ KeySource::Url { .. }) => Some(source),
            _ => None,
        };
        format!("{algorithm:?} {published_at:?} {audience:?} {issuer:?}")
    });
    format!("{token:?} {scheme:?} {verified:?} {role:?}")
}
