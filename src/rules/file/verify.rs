//! `[identity] verify`: whose signature counts.

use super::settings::{PEM_HELP, each};
use super::{address, keyfile};
use crate::rules::problem::Problem;
use crate::rules::read::Text;
use crate::rules::section::Section;
use crate::rules::settings::*;
use std::path::Path;

const ALGORITHMS: [(&str, Algorithm); 12] = [
    ("HS256", Algorithm::Hs256),
    ("HS384", Algorithm::Hs384),
    ("HS512", Algorithm::Hs512),
    ("RS256", Algorithm::Rs256),
    ("RS384", Algorithm::Rs384),
    ("RS512", Algorithm::Rs512),
    ("PS256", Algorithm::Ps256),
    ("PS384", Algorithm::Ps384),
    ("PS512", Algorithm::Ps512),
    ("ES256", Algorithm::Es256),
    ("ES384", Algorithm::Es384),
    ("EdDSA", Algorithm::EdDsa),
];

/// The places where a key may stand, and whether it is one that both sides know.
const KEYS: [(&str, bool); 3] = [("secret", true), ("public_key", false), ("jwks", false)];

const EXAMPLE: &str = "verify = { algorithm = \"HS256\", secret = \"${JWT_SECRET}\" }";

/// `{ algorithm, secret | public_key | jwks, audience, issuer }`
pub fn settings(s: Section<'_>, base: &Path) -> Option<VerifySettings> {
    if !s.has("algorithm") {
        s.missing("algorithm", EXAMPLE);
    }
    let algorithm = s.choice("algorithm", &ALGORITHMS);
    let secret = s.not_empty("secret");
    let public_key = s.text("public_key");
    let jwks = s.not_empty("jwks");
    let key = algorithm.and_then(|algorithm| {
        if !one_place(&s, algorithm) {
            return None;
        }
        let secret = secret.map(|text| VerifyKey::Secret(text.into_secret()));
        let pem = || public_key.and_then(|text| pem_key(&s, text, algorithm, base));
        let published = || jwks.and_then(|text| published(&s, &text, base));
        secret.or_else(pem).or_else(published)
    });
    let audience = names(&s, "audience");
    let issuer = names(&s, "issuer");
    s.finish(&[]);
    Some(VerifySettings {
        algorithm: algorithm?,
        key: key?,
        audience,
        issuer,
    })
}

/// Whether the key stands in exactly one place, and that fits the algorithm; else a problem.
fn one_place(s: &Section<'_>, algorithm: Algorithm) -> bool {
    let shared = matches!(
        algorithm,
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512
    );
    let wanted = match shared {
        true => "`secret`",
        false => "`public_key` or `jwks`",
    };
    let written = || KEYS.iter().filter(|(key, _)| s.has(key));
    if written().next().is_none() {
        s.missing(
            if shared { "secret" } else { "public_key" },
            if shared {
                "secret = \"…\""
            } else {
                "public_key = \"…\""
            },
        );
    }
    if let Some((key, _)) = written().find(|(_, is_shared)| *is_shared != shared) {
        let message = format!("this algorithm is verified with {wanted}, not `{key}`");
        let problem = Problem::error(s.span_of(key), message, "does not fit", "");
        s.reader.report(problem);
        return false;
    }
    if let Some((key, _)) = written().nth(1) {
        let help = "keep the one whose keys the tokens are signed with";
        let message = "there is one place for keys: `public_key` or `jwks`";
        let problem = Problem::error(s.span_of(key), message, "a second one", help);
        s.reader.report(problem);
        return false;
    }
    true
}

/// One text or several, none of them empty.
fn names(s: &Section<'_>, key: &'static str) -> Vec<String> {
    if s.is_empty(key) {
        let help = "leave it out to accept any";
        let message = format!("`{key}` names nobody, so no token would do");
        s.reader
            .report(Problem::error(s.span_of(key), message, "empty", help));
    }
    let texts = s.text_or_texts(key).unwrap_or_default();
    each(s, texts, address::party)
}

fn pem_key(s: &Section<'_>, text: Text, algorithm: Algorithm, base: &Path) -> Option<VerifyKey> {
    let path = base.join(text.value.as_str());
    let checked = s.reader.pem(path);
    let checked = checked.and_then(|pem| match keyfile::misfit(&pem, algorithm) {
        Some(message) => Err(message.to_owned()),
        None => Ok(pem),
    });
    match checked {
        Ok(pem) => Some(VerifyKey::Pem(pem)),
        Err(message) => {
            s.reader
                .report(Problem::error(text.span, message, "this file", PEM_HELP));
            None
        }
    }
}

/// A URL or a file. What is in a file is judged when keys are made of it.
fn published(s: &Section<'_>, text: &Text, base: &Path) -> Option<VerifyKey> {
    let source = match address::key_source(&text.value, base) {
        Ok(source) => source,
        Err(fault) => {
            s.reader.fault(text, fault);
            return None;
        }
    };
    if let KeySource::Url {
        server: OriginAddress::Http { host, .. },
        ..
    } = &source
        && !address::is_here(host)
    {
        let help = "use https://, or see to it that nobody can answer in its place";
        let message = "whoever can change what comes over http:// can sign for anybody";
        s.reader.report(Problem::warning(
            text.span.clone(),
            message,
            "unprotected",
            help,
        ));
    }
    if let KeySource::File(path) = &source {
        s.reader.names_file(path.clone());
    }
    Some(VerifyKey::Jwks(source))
}
