//! Listening, and stopping in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use elanus_engine::api::Engine;
use elanus_engine::core::error::{Error, Result};
use elanus_proto::service::milvus_service_server::MilvusServiceServer;
use tonic::transport::server::TcpIncoming;

use crate::context::Context;
use crate::service::Milvus;

/// Room for data on its way in one call; large inserts would otherwise wait for each other's ends.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
/// Room for data on its way in one connection.
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
const MAX_FRAME_BYTES: u32 = 1 << 20;

/// How to serve.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// How long running calls may go on after the server was told to stop.
    pub drain_timeout: Duration,
    /// An idle connection is asked this often whether its client is still there.
    pub keepalive_interval: Duration,
    /// A client that does not answer for so long is gone.
    pub keepalive_timeout: Duration,
}

impl ServeOptions {
    /// Listens there; the rest has its defaults: 30 s to drain, asked each 60 s, gone after 20 s.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            drain_timeout: Duration::from_secs(30),
            keepalive_interval: Duration::from_secs(60),
            keepalive_timeout: Duration::from_secs(20),
        }
    }
}

/// A server that listens and is about to serve.
///
/// The engine stays the caller's: when [`Server::run_until`] has returned, close it.
pub struct Server {
    incoming: TcpIncoming,
    address: SocketAddr,
    milvus: Milvus,
    options: ServeOptions,
}

impl Server {
    /// Begins to listen. Clients may connect from now on; they are answered once
    /// [`Server::run_until`] runs.
    ///
    /// # Errors
    /// If the address cannot be had.
    pub async fn bind(engine: Engine, options: ServeOptions) -> Result<Self> {
        let listen = |e| Error::storage(format!("cannot listen on {}", options.listen), e);
        let incoming = TcpIncoming::bind(options.listen).map_err(listen)?.with_nodelay(Some(true));
        let address = incoming.local_addr().map_err(listen)?;
        let milvus = Milvus::new(Arc::new(Context::new(engine)?));
        Ok(Self { incoming, address, milvus, options })
    }

    /// Where the server listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` ends, then takes no new calls and waits for the running ones, at most
    /// for `drain_timeout`.
    ///
    /// # Errors
    /// If serving breaks off by itself.
    pub async fn run_until(self, shutdown: impl Future<Output = ()> + Send) -> Result<()> {
        let Self { incoming, address, milvus, options } = self;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let service = MilvusServiceServer::new(milvus.clone())
            .max_decoding_message_size(usize::MAX)
            .max_encoding_message_size(usize::MAX);
        let serving = tonic::transport::Server::builder()
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_frame_size(MAX_FRAME_BYTES)
            .http2_keepalive_interval(Some(options.keepalive_interval))
            .http2_keepalive_timeout(Some(options.keepalive_timeout))
            .add_service(service)
            .serve_with_incoming_shutdown(incoming, async {
                // An end without a message means that we are gone, so stop as well.
                stopped.await.ok();
            });
        let mut serving = std::pin::pin!(serving);
        tracing::info!(%address, "serving Milvus's protocol");
        tokio::select! {
            biased;
            ended = &mut serving => return ended.map_err(broken),
            () = shutdown => {}
        }
        tracing::info!("stopping: no new calls, waiting for the running ones");
        stop.send(()).ok();
        let drained = async { tokio::join!(milvus.drain(), serving) };
        match tokio::time::timeout(options.drain_timeout, drained).await {
            Ok(((), ended)) => ended.map_err(broken),
            Err(_) => {
                tracing::warn!(waited = ?options.drain_timeout, "stopping with calls still running");
                Ok(())
            }
        }
    }
}

fn broken(e: tonic::transport::Error) -> Error {
    Error::storage("the gRPC server broke off", e)
}
