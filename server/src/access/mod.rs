//! Users, roles and privileges: who may call what.
//!
//! [`state`] is what there is, a plain value that [`users`], [`roles`] and [`groups`] change and
//! [`permit`] decides over; this file keeps it durable, in the records of the engine's catalog.

pub mod caller;
pub mod groups;
mod login;
pub mod names;
mod password;
pub mod permit;
pub mod privileges;
pub mod roles;
pub mod state;
pub mod users;

use std::collections::BTreeMap;
use std::sync::Arc;

use elanus_engine::api::{Engine, RecordChange};
use elanus_engine::core::settings::AuthSettings;
use parking_lot::RwLock;

use crate::status::Failure;
use login::Logins;
pub use login::{BAD_LOGIN, Refused};
pub use state::State;

/// Users and roles of a store, and what they may do.
pub struct Access {
    engine: Engine,
    state: RwLock<Arc<State>>,
    changing: tokio::sync::Mutex<()>,
    logins: Logins,
}

impl Access {
    /// Reads them from the store.
    ///
    /// # Errors
    /// If a record cannot be read: a server that has forgotten a user must not start.
    pub fn open(engine: &Engine) -> elanus_engine::core::error::Result<Self> {
        let state = State::from_records(engine.records(state::PREFIX))?;
        Ok(Self {
            engine: engine.clone(),
            state: RwLock::new(Arc::new(state)),
            changing: tokio::sync::Mutex::default(),
            logins: Logins::default(),
        })
    }

    /// What there is now.
    pub fn state(&self) -> Arc<State> {
        self.state.read().clone()
    }

    /// The settings.
    pub fn settings(&self) -> &AuthSettings {
        &self.engine.settings().auth
    }

    /// Changes the state: durable when it returns, and nothing is changed by a failure.
    pub async fn change<T>(
        &self,
        change: impl FnOnce(&mut State) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let _changing = self.changing.lock().await;
        let before = self.state();
        let mut after = State::clone(&before);
        let done = change(&mut after)?;
        let changes = difference(&before.to_records()?, &after.to_records()?);
        if !changes.is_empty() {
            self.engine.change_records(changes).await?;
            *self.state.write() = Arc::new(after);
            self.logins.forget();
        }
        Ok(done)
    }
}

/// What has to be written so that `before` becomes `after`.
fn difference(
    before: &BTreeMap<String, Vec<u8>>,
    after: &BTreeMap<String, Vec<u8>>,
) -> Vec<RecordChange> {
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    let new = after.iter().filter(|(key, value)| before.get(*key) != Some(*value));
    gone.map(|key| (key.clone(), None))
        .chain(new.map(|(key, value)| (key.clone(), Some(value.clone()))))
        .collect()
}
