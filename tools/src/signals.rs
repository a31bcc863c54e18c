//! Ctrl-C and SIGTERM: the first asks for a clean end, the second ends at once.

use std::io::Write;

use elanus_engine::core::runtime::spawn;
use tokio::sync::watch;

use crate::failure::{Failure, Result};

/// Exit code after a second signal: what a shell shows for a program ended by Ctrl-C.
const EXIT_INTERRUPTED: i32 = 130;

/// Watches for signals from its making on.
#[derive(Debug, Clone)]
pub struct Shutdown {
    asked: watch::Receiver<bool>,
}

impl Shutdown {
    /// Takes over Ctrl-C and SIGTERM for the rest of the process's life.
    pub fn listen() -> Result<Self> {
        let (sender, asked) = watch::channel(false);
        let mut signals = Signals::register()?;
        spawn(async move {
            let first = signals.next().await;
            tracing::info!("{first}: closing; a second signal ends at once");
            sender.send_replace(true);
            let second = signals.next().await;
            writeln!(std::io::stderr(), "{second} again: ending at once").ok();
            std::process::exit(EXIT_INTERRUPTED);
        });
        Ok(Self { asked })
    }

    /// Ends when the first signal has come.
    pub async fn wait(mut self) {
        if self.asked.wait_for(|asked| *asked).await.is_err() {
            // The watcher is gone, so no signal can come any more.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn register() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let open = |kind| signal(kind).map_err(|e| Failure::from(e).context("signal handler"));
        Ok(Self {
            interrupt: open(SignalKind::interrupt())?,
            terminate: open(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn register() -> Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}
