//! What the server tells of itself as JSON, and the balance of its one node.

use elanus_engine::core::time::to_millis;
use elanus_proto::service::{GetMetricsRequest, GetMetricsResponse, LoadBalanceRequest};
use serde_json::{Value, json};

use super::{collection, connect, load};
use crate::context::Context;
use crate::status::{Failure, code};

const COMPONENT: &str = "standalone1";

/// The metrics of a type that the request names in JSON.
pub async fn metrics(
    ctx: &Context,
    _: &str,
    request: GetMetricsRequest,
) -> Result<GetMetricsResponse, Failure> {
    let asked: Value = serde_json::from_str(&request.request).map_err(|e| {
        Failure::parameter(format!("failed to decode the request {:?}: {e}", request.request))
    })?;
    let Some(kind) = asked.get("metric_type").and_then(Value::as_str) else {
        return Err(Failure::missing("metric_type not found in request"));
    };
    if kind != "system_info" {
        let reason = format!(
            "sorry, but this metric type is not implemented: metric not found[metric={kind}]"
        );
        return Err(Failure::new(code::METRIC_NOT_FOUND, reason));
    }
    let response = system_info(ctx).to_string();
    Ok(GetMetricsResponse { status: None, response, component_name: COMPONENT.into() })
}

fn system_info(ctx: &Context) -> Value {
    let collections = ctx.engine.all_collections();
    let stats: Vec<_> = collections.iter().map(|c| c.stats()).collect();
    let segments: usize = stats.iter().map(|s| s.segments.len()).sum();
    let rows: u64 = stats.iter().map(|s| s.rows_stored).sum();
    json!({
        "nodes_info": [{
            "identifier": load::NODE_ID,
            "connected": [],
            "infos": {
                "has_error": false,
                "error_reason": "",
                "name": COMPONENT,
                "type": "standalone",
                "id": load::NODE_ID,
                "hardware_infos": {
                    "cpu_core_count": std::thread::available_parallelism().map_or(1, usize::from),
                },
                "system_info": {
                    "system_version": connect::VERSION,
                    "deploy_mode": "STANDALONE",
                },
                "quota_metrics": {
                    "databases": ctx.engine.databases().len(),
                    "collections": collections.len(),
                    "segments": segments,
                    "rows": rows,
                    "started_ms": to_millis(ctx.started_ts),
                },
            },
        }],
    })
}

/// Moves segments to other nodes, of which there are none.
pub async fn balance(
    ctx: &Context,
    database: &str,
    request: LoadBalanceRequest,
) -> Result<(), Failure> {
    let info = collection::find(ctx, database, &request.collection_name, 0)?.info();
    if !info.loaded {
        return Err(Failure::not_loaded(&info.name));
    }
    let missing = |node: i64, why: &str| {
        let reason = format!("{why}: node not found[node={node}]");
        Err(Failure::new(code::NODE_NOT_FOUND, reason))
    };
    if request.src_node_id != load::NODE_ID {
        return missing(request.src_node_id, "source node not found in any replica");
    }
    match request.dst_node_i_ds.iter().find(|node| **node != load::NODE_ID) {
        Some(node) => missing(*node, "destination node not found in the same replica"),
        None => Err(Failure::parameter(format!(
            "there is no other node than {} to move segments to",
            load::NODE_ID
        ))),
    }
}
