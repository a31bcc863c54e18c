//! Settings of what serves the store: who may do what, which calls are told of, where imports read.

use serde::{Deserialize, Serialize};

use super::error::{Error, Result, Subject};

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// Whether every call needs a user and the privilege for it. Users and roles can be managed in
    /// either case.
    pub enabled: bool,
    /// The password of the user root until it is changed.
    pub default_root_password: String,
    /// Users who may give any user a new password without the old one, with commas between.
    pub super_users: String,
    /// Most users.
    pub max_users: usize,
    /// Most roles, admin and public among them.
    pub max_roles: usize,
    /// Fewest bytes of a new password.
    pub min_password_bytes: usize,
    /// Most bytes of a new password.
    pub max_password_bytes: usize,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            default_root_password: "Milvus".into(),
            super_users: String::new(),
            max_users: 100,
            max_roles: 10,
            min_password_bytes: 6,
            max_password_bytes: 72,
        }
    }
}

/// The server's own conduct.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// A call that takes longer is told of in the log. 0: none.
    pub slow_call_ms: u64,
    /// Folder from which imports may read files. Empty: they read from the store's bucket only.
    pub import_dir: String,
    /// Most bytes of one file of an import. Files of a bucket are read into memory: one at
    /// a time, those of NumPy together.
    pub max_import_file_bytes: u64,
    /// Most files of one import.
    pub max_import_files: usize,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            slow_call_ms: 1_000,
            import_dir: String::new(),
            max_import_file_bytes: 2 << 30,
            max_import_files: 1_024,
        }
    }
}

impl AuthSettings {
    /// Refuses values out of range, by name.
    pub fn check(&self) -> Result<()> {
        let bad = |why: &str| Err(Error::invalid(Subject::Setting, format!("setting {why}")));
        if self.default_root_password.is_empty() {
            return bad("auth.default_root_password: must not be empty");
        }
        if self.min_password_bytes > self.max_password_bytes {
            return bad("auth.min_password_bytes: must not exceed auth.max_password_bytes");
        }
        if self.max_password_bytes > 1_024 {
            return bad("auth.max_password_bytes: must be at most 1024");
        }
        Ok(())
    }
}
