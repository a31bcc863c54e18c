//! The user for whom a handler runs.

tokio::task_local! {
    static CALLER: Option<String>;
}

/// Runs a handler for a user.
pub async fn scope<F: Future>(user: Option<String>, handler: F) -> F::Output {
    CALLER.scope(user, handler).await
}

/// The user of the call that runs; none where nobody has to say who he is.
pub fn current() -> Option<String> {
    CALLER.try_with(Clone::clone).ok().flatten()
}
