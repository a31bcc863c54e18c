//! Whether anybody still waits for a piece of CPU work.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::{Error, Result};

thread_local! {
    static CURRENT: RefCell<Option<Wanted>> = const { RefCell::new(None) };
}

/// Asked between pieces of work: one that nobody waits for ends at the next.
#[derive(Debug, Clone, Default)]
pub struct Wanted(Arc<AtomicBool>);

/// Held by who waits; dropping it tells the work that nobody does.
#[derive(Debug)]
pub struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Wanted {
    /// A pair for a piece of work and who waits for it.
    pub fn pair() -> (Waiting, Self) {
        let gone = Arc::new(AtomicBool::new(false));
        (Waiting(gone.clone()), Self(gone))
    }

    /// That of the work on this thread; always wanted where there is none.
    pub fn current() -> Self {
        CURRENT.with_borrow(Clone::clone).unwrap_or_default()
    }

    /// Runs a piece of work under it.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = CURRENT.replace(Some(self.clone()));
        let done = work();
        CURRENT.set(before);
        done
    }

    /// Whether somebody waits.
    pub fn still(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }

    /// An error, for work that nobody waits for.
    pub fn check(&self) -> Result<()> {
        if self.still() { Ok(()) } else { Err(Error::internal("nobody waits for this work")) }
    }
}
