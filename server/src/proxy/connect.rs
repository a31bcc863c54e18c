//! Connecting and asking after the server itself.

use std::collections::HashMap;

use elanus_proto::common::{ServerInfo, StateCode};
use elanus_proto::service::{
    AllocTimestampRequest, AllocTimestampResponse, CheckHealthRequest, CheckHealthResponse,
    ComponentInfo, ComponentStates, ConnectRequest, ConnectResponse, GetComponentStatesRequest,
    GetVersionRequest, GetVersionResponse,
};

use crate::context::{Context, absent};
use crate::status::Failure;

/// The version told to clients: the Milvus whose protocol this is, then ours. Both semantic versioning
/// and Python's rules read it as 3.0.0 with a note.
pub const VERSION: &str = concat!("v3.0.0+elanus-", env!("CARGO_PKG_VERSION"));

/// Greets a client; fails when its database does not exist.
pub async fn connect(
    ctx: &Context,
    database: &str,
    request: ConnectRequest,
) -> Result<ConnectResponse, Failure> {
    ctx.engine.database(database).map_err(|e| absent(e, database, ""))?;
    let identifier = ctx.register_client(request.client_info.unwrap_or_default());
    let server_info = ServerInfo {
        build_tags: VERSION.into(),
        build_time: option_env!("ELANUS_BUILD_TIME").unwrap_or("unknown").into(),
        git_commit: option_env!("ELANUS_GIT_COMMIT").unwrap_or("unknown").into(),
        go_version: "none, Elanus is written in Rust".into(),
        deploy_mode: "STANDALONE".into(),
        reserved: HashMap::new(),
    };
    Ok(ConnectResponse { status: None, server_info: Some(server_info), identifier })
}

/// Tells the version.
pub async fn version(
    _: &Context,
    _: &str,
    _: GetVersionRequest,
) -> Result<GetVersionResponse, Failure> {
    Ok(GetVersionResponse { status: None, version: VERSION.into() })
}

/// A server that answers is healthy.
pub async fn health(
    _: &Context,
    _: &str,
    _: CheckHealthRequest,
) -> Result<CheckHealthResponse, Failure> {
    Ok(CheckHealthResponse { is_healthy: true, ..Default::default() })
}

/// Gives out a timestamp.
pub async fn timestamp(
    ctx: &Context,
    _: &str,
    _: AllocTimestampRequest,
) -> Result<AllocTimestampResponse, Failure> {
    Ok(AllocTimestampResponse { status: None, timestamp: ctx.engine.next_timestamp() })
}

/// The one component there is.
pub async fn components(
    _: &Context,
    _: &str,
    _: GetComponentStatesRequest,
) -> Result<ComponentStates, Failure> {
    let state = ComponentInfo {
        node_id: super::load::NODE_ID,
        role: "standalone".into(),
        state_code: StateCode::Healthy.into(),
        extra_info: Vec::new(),
    };
    Ok(ComponentStates { state: Some(state), ..Default::default() })
}
