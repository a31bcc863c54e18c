//! Who is calling: the user and password of a call's metadata.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use elanus_engine::core::runtime;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::password::{equal, fingerprint, random};
use super::{Access, State};

/// Why a call is not let in; Milvus's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub &'static str);

/// A wrong password or an unknown user: which of them is not told.
pub const BAD_LOGIN: Refused =
    Refused("auth check failure, please check username and password are correct");
const NO_HEADER: Refused = Refused("missing authorization in header");
const BAD_TOKEN: Refused = Refused("invalid token format");
const NO_KEYS: Refused = Refused("auth check failure, please check api key is correct");

/// Passwords that are hashed at once; the hash is slow on purpose.
const HASHES_AT_ONCE: usize = 2;

/// Logins that were verified since the last change: a call must not take the time of a hash.
pub struct Logins {
    salt: [u8; 16],
    verified: Mutex<(u64, BTreeMap<String, [u8; 32]>)>,
    hashing: Semaphore,
}

impl Default for Logins {
    fn default() -> Self {
        Self { salt: random(), verified: Mutex::default(), hashing: Semaphore::new(HASHES_AT_ONCE) }
    }
}

impl Logins {
    /// Forgets all of them, since a password or a user may have changed.
    pub fn forget(&self) {
        let mut verified = self.verified.lock();
        verified.0 += 1;
        verified.1.clear();
    }
}

/// The user and the password of an authorization header.
pub fn parse(header: &str) -> Result<(String, String), Refused> {
    let raw = STANDARD.decode(header.trim()).map_err(|_| BAD_TOKEN)?;
    let raw = String::from_utf8(raw).map_err(|_| BAD_TOKEN)?;
    let (user, password) = raw.split_once(':').ok_or(NO_KEYS)?;
    Ok((user.to_string(), password.to_string()))
}

impl Access {
    /// The user of a call, verified if authorisation is on. Without it, the name is taken as given.
    ///
    /// # Errors
    /// With authorisation on: if there is no header, or it holds no user with that password.
    pub async fn login(&self, header: Option<&str>) -> Result<Option<String>, Refused> {
        let parsed = header.map(parse);
        if !self.settings().enabled {
            return Ok(parsed.and_then(Result::ok).map(|(user, _)| user));
        }
        let (user, password) = parsed.ok_or(NO_HEADER)??;
        match self.verifies(&user, password).await {
            true => Ok(Some(user)),
            false => Err(BAD_LOGIN),
        }
    }

    /// Whether a user has that password.
    pub async fn verifies(&self, user: &str, password: String) -> bool {
        let state = self.state();
        if !state.users.contains_key(user) {
            return false;
        }
        let Ok(print) = fingerprint(&password, &self.logins.salt) else { return false };
        let generation = {
            let verified = self.logins.verified.lock();
            if verified.1.get(user).is_some_and(|known| equal(known, &print)) {
                return true;
            }
            verified.0
        };
        let Ok(_turn) = self.logins.hashing.acquire().await else { return false };
        let right = self.check(state, user.to_string(), password).await;
        let mut verified = self.logins.verified.lock();
        if right && verified.0 == generation {
            verified.1.insert(user.to_string(), print);
        }
        right
    }

    async fn check(&self, state: Arc<State>, user: String, password: String) -> bool {
        let default = self.settings().default_root_password.clone();
        let verdict = runtime::blocking(move || match state.users.get(&user) {
            None => Ok(false),
            Some(known) => match &known.password {
                Some(hashed) => hashed.verifies(&password),
                None => Ok(equal(password.as_bytes(), default.as_bytes())),
            },
        });
        verdict.await.unwrap_or_else(|e| {
            tracing::error!(error = %e, "a password could not be checked");
            false
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_milvus_reads_them() {
        let encoded = |text: &str| STANDARD.encode(text);
        let user = |name: &str, password: &str| Ok((name.to_string(), password.to_string()));
        assert_eq!(parse(&encoded("root:Milvus")), user("root", "Milvus"));
        assert_eq!(parse(&encoded("root:a:b")), user("root", "a:b"));
        assert_eq!(parse("%%%"), Err(BAD_TOKEN));
        assert_eq!(parse(&encoded("key")), Err(NO_KEYS));
    }
}
