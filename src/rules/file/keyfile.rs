//! PEM files: whether a public key fits the algorithm it is named for.

use crate::rules::disk;
use crate::rules::settings::Algorithm;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer};
use std::path::Path;

/// Object identifiers as they stand in a SubjectPublicKeyInfo (RFC 5280 §4.1), with tag and length.
const RSA: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const P256: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const P384: &[u8] = &[6, 5, 0x2b, 0x81, 4, 0, 0x22];
const ED25519: &[u8] = &[6, 3, 0x2b, 0x65, 0x70];

/// The identifiers stand within so many bytes; behind them is the key itself.
const HEADER: usize = 40;

/// Why there is no PEM text, for a person.
pub enum NoPem {
    /// The file cannot be read, now.
    Unread(String),
    /// It can, and is something else.
    Other(String),
}

/// Reads a PEM file.
///
/// # Errors
/// [`NoPem`]
pub fn read(path: &Path) -> Result<String, NoPem> {
    let bytes = disk::read(path, disk::MAX_NAMED)
        .map_err(|error| NoPem::Unread(format!("`{}` cannot be read: {error}", path.display())))?;
    let text = String::from_utf8(bytes).ok();
    let text = text.filter(|text| text.contains("-----BEGIN "));
    text.ok_or_else(|| NoPem::Other(format!("`{}` is not a PEM file", path.display())))
}

/// What is wrong with a PEM text as a list of certificates.
pub fn no_certificate(pem: &str) -> Option<&'static str> {
    let mut certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
    let sound = matches!(certificates.next(), Some(Ok(_))) && certificates.all(|next| next.is_ok());
    (!sound).then_some("this file holds no certificate (`BEGIN CERTIFICATE`), or a broken one")
}

/// What is wrong with a PEM text as a private key.
pub fn no_private_key(pem: &str) -> Option<&'static str> {
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes());
    key.err()
        .map(|_| "this file holds no private key (`BEGIN PRIVATE KEY`), or a broken one")
}

/// What is wrong with a PEM text as the public key of an algorithm.
pub fn misfit(pem: &str, algorithm: Algorithm) -> Option<&'static str> {
    if pem.contains("PRIVATE KEY-----") {
        return Some("this file holds a private key; the public one is needed");
    }
    let (wanted, message) = match algorithm {
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
            return Some("HS algorithms need `secret`, not a public key");
        }
        Algorithm::Es256 => (P256, "this is not a P-256 public key"),
        Algorithm::Es384 => (P384, "this is not a P-384 public key"),
        Algorithm::EdDsa => (ED25519, "this is not an Ed25519 public key"),
        Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 => {
            (RSA, "this is not an RSA public key")
        }
        Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 => {
            (RSA, "this is not an RSA public key")
        }
    };
    if wanted == RSA && pem.contains("-----BEGIN RSA PUBLIC KEY-----") {
        return None; // PKCS #1 says so itself.
    }
    match SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()) {
        Err(_) => Some("this file holds no public key (`BEGIN PUBLIC KEY`)"),
        Ok(key) => {
            let header = &key.as_ref()[..key.as_ref().len().min(HEADER)];
            let fits = header.windows(wanted.len()).any(|window| window == wanted);
            (!fits).then_some(message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_fits_its_own_algorithm_only() {
        let p256 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("P-256");
        let ed = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("Ed25519");
        assert_eq!(misfit(&p256.public_key_pem(), Algorithm::Es256), None);
        assert_eq!(misfit(&ed.public_key_pem(), Algorithm::EdDsa), None);
        assert!(misfit(&ed.public_key_pem(), Algorithm::Es256).is_some());
        assert!(misfit(&p256.public_key_pem(), Algorithm::Es384).is_some());
        assert!(misfit(&p256.public_key_pem(), Algorithm::Rs256).is_some());
        assert!(misfit(&p256.public_key_pem(), Algorithm::Hs256).is_some());
        let private = misfit(&p256.serialize_pem(), Algorithm::Es256).expect("private");
        assert!(private.contains("private"), "{private}");
        assert!(misfit("-----BEGIN PUBLIC KEY-----\n", Algorithm::Es256).is_some());
    }
}
