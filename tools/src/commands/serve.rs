//! `elanus serve`: a store for Milvus clients until stopped.

use std::net::SocketAddr;

use elanus_engine::api::{Engine, OpenOptions};
use elanus_server::{ServeOptions, Server};

use crate::allocator;
use crate::args::ServeArgs;
use crate::config;
use crate::failure::{Failure, Result};
use crate::signals::Shutdown;

/// Opens the store, serves it, and closes it after the first signal.
pub async fn run(args: ServeArgs) -> Result<()> {
    let settings = config::load(&args.config)?;
    if settings.memory.limit_bytes != 0 {
        allocator::make_frugal();
    }
    let shutdown = Shutdown::listen()?;
    let location = args.data.to_string();
    let engine = Engine::open(OpenOptions { location, settings, create: true }).await?;
    let served = serve(&engine, args.listen, shutdown).await;
    let closed = engine.close().await.map_err(Failure::from);
    tracing::info!("closed");
    served.and(closed)
}

async fn serve(engine: &Engine, listen: SocketAddr, shutdown: Shutdown) -> Result<()> {
    finish(bind(engine, listen).await?, shutdown).await
}

/// Takes the address; `demo` needs it early, before its work.
pub async fn bind(engine: &Engine, listen: SocketAddr) -> Result<Server> {
    let hint = "--listen ADDR chooses another address; port 0 takes any free one";
    Server::bind(engine.clone(), ServeOptions::new(listen))
        .await
        .map_err(|e| Failure::from(e).hint(hint))
}

/// Serves until the first signal and drains what is under way.
pub async fn finish(server: Server, shutdown: Shutdown) -> Result<()> {
    Ok(server.run_until(shutdown.wait()).await?)
}
