//! `[store] seal`, `seal_previous`: what values are sealed with.

use crate::rules::problem::{Fault, Problem};
use crate::rules::section::Section;
use crate::rules::settings::{SEAL_KEY_BYTES, SealSettings};
use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Sealing, unless `seal` is absent or empty.
pub fn settings(s: &Section<'_>) -> Option<SealSettings> {
    let current = s.text("seal").filter(|text| !text.value.is_empty());
    let previous = s.texts("seal_previous").unwrap_or_default();
    let previous: Vec<_> = previous
        .into_iter()
        .filter(|text| !text.value.is_empty()) // a variable that is set only during a change of keys
        .collect();
    let Some(current) = current else {
        if !previous.is_empty() {
            let help = "write the new key as `seal`; to end sealing, leave out both";
            let message = "`seal_previous` without `seal` would open what nobody seals";
            let span = s.span_of("seal_previous");
            let problem = Problem::error(span, message, "no `seal`", help);
            s.reader.report(problem);
        }
        return None;
    };
    let read = |text: crate::rules::read::Text| match key(&text.value) {
        Ok(key) => Some(key),
        Err(fault) => {
            s.reader.fault(&text, fault);
            None
        }
    };
    // Told of the list: a line of its own within it could not be masked.
    let list = s.span_of("seal_previous");
    let previous = previous.into_iter().map(|text| text.moved(list.clone()));
    let previous: Vec<_> = previous.map(read).collect();
    Some(SealSettings {
        current: read(current)?,
        previous: previous.into_iter().collect::<Option<_>>()?,
    })
}

fn key(text: &str) -> Result<Secret<[u8; SEAL_KEY_BYTES]>, Fault> {
    let bytes = STANDARD.decode(text.trim()).map(Zeroizing::new).ok();
    let key = bytes.and_then(|bytes| bytes.as_slice().try_into().ok());
    key.map(Secret::new).ok_or_else(|| {
        let message = "this is not a key: 32 bytes in base64 are wanted";
        let help = "make one with `openssl rand -base64 32`";
        Fault::new(0..text.len(), message, "not a key", help)
    })
}
