//! Passwords: kept as Argon2id hashes, each with a salt of its own.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use elanus_engine::core::error::{Error, Result};
use elanus_engine::core::runtime;
use serde::{Deserialize, Serialize};

/// Memory, passes and lanes of a new hash: what OWASP asks at least.
const COST: (u32, u32, u32) = (19_456, 2, 1);
/// The least that the function allows: for comparing in memory what was verified before.
const LEAST: (u32, u32, u32) = (8, 1, 1);

/// A password's hash with everything needed to compute it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hashed {
    salt: String,
    hash: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Hashed {
    /// Hashes a password; takes some 20 ms and 19 MiB on purpose, so not on an async thread.
    pub fn new(password: &str) -> Result<Self> {
        let salt = random();
        let hash = digest(password, &salt, COST)?;
        let (memory_kib, passes, lanes) = COST;
        let [salt, hash] = [&salt[..], &hash[..]].map(|bytes| STANDARD.encode(bytes));
        Ok(Self { salt, hash, memory_kib, passes, lanes })
    }

    /// Whether it is this password; as slow as [`Hashed::new`].
    pub fn verifies(&self, password: &str) -> Result<bool> {
        let bad = |e| Error::corrupted("the local catalog", format!("a password's hash: {e}"));
        let salt = STANDARD.decode(&self.salt).map_err(bad)?;
        let hash = STANDARD.decode(&self.hash).map_err(bad)?;
        Ok(equal(&digest(password, &salt, (self.memory_kib, self.passes, self.lanes))?, &hash))
    }
}

/// A quick hash under a salt that never leaves the process.
pub fn fingerprint(password: &str, salt: &[u8]) -> Result<[u8; 32]> {
    digest(password, salt, LEAST)
}

/// Sixteen random bytes.
pub fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&runtime::random_id().to_le_bytes());
    bytes[8..].copy_from_slice(&runtime::random_id().to_le_bytes());
    bytes
}

fn digest(
    password: &str,
    salt: &[u8],
    (memory, passes, lanes): (u32, u32, u32),
) -> Result<[u8; 32]> {
    let failed = |e| Error::internal(format!("a password cannot be hashed: {e}"));
    let params = Params::new(memory, passes, lanes, None).map_err(failed)?;
    let mut out = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, &mut out)
        .map_err(failed)?;
    Ok(out)
}

/// Compares in the same time wherever the difference is.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_knows_its_password_and_no_other() {
        let hashed = Hashed::new("correct horse").expect("a hash");
        assert!(hashed.verifies("correct horse").expect("an answer"));
        assert!(!hashed.verifies("correct horse ").expect("an answer"));
        assert!(!format!("{hashed:?}").contains("horse"));
        let again = Hashed::new("correct horse").expect("a hash");
        assert_ne!(hashed.hash, again.hash, "salts differ");
    }

    #[test]
    fn fingerprints_depend_on_the_salt() {
        let (a, b) = (random(), random());
        let print = |salt: &[u8]| fingerprint("x", salt).expect("a print");
        assert_eq!(print(&a), print(&a));
        assert_ne!(print(&a), print(&b));
    }
}
