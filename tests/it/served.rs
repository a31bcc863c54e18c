//! The real server on a free port of this machine, with a client of Milvus's protocol.

use std::path::Path;

use elanus_engine::api::Engine;
use elanus_engine::core::error::Error;
use elanus_engine::core::settings::Settings;
use elanus_proto::common::{KeyValuePair, Status};
use elanus_proto::schema::{CollectionSchema, DataType, FieldSchema};
use elanus_proto::service::milvus_service_client::MilvusServiceClient;
use elanus_proto::service::*;
use elanus_server::{ServeOptions, Server};
use prost::Message;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;

use super::harness;

/// A client over one connection.
pub type Client = MilvusServiceClient<Channel>;

/// A server that runs until [`Served::stop`].
pub struct Served {
    pub engine: Engine,
    pub client: Client,
    pub channel: Channel,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), Error>>,
}

impl Served {
    /// Opens the folder and serves it.
    pub async fn start(folder: &Path, settings: &Settings) -> Self {
        let engine = harness::open(folder, settings).await.expect("a store");
        let options = ServeOptions::new("127.0.0.1:0".parse().expect("an address"));
        let server = Server::bind(engine.clone(), options).await.expect("a port");
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.run_until(async {
            stopped.await.ok();
        }));
        let channel = Channel::from_shared(format!("http://{address}")).expect("an address");
        let channel = channel.connect().await.expect("a connection");
        let client = Client::new(channel.clone())
            .max_decoding_message_size(usize::MAX)
            .max_encoding_message_size(usize::MAX);
        Self { engine, client, channel, stop, serving }
    }

    /// Ends the server in order and closes the store.
    pub async fn stop(self) {
        drop((self.client, self.channel));
        self.stop.send(()).expect("the server runs");
        self.serving.await.expect("no panic").expect("an orderly end");
        self.engine.close().await.expect("closed");
    }
}

/// Pairs as the wire has them.
pub fn pairs(list: &[(&str, &str)]) -> Vec<KeyValuePair> {
    list.iter().map(|(k, v)| KeyValuePair { key: (*k).into(), value: (*v).into() }).collect()
}

/// A field with its type's parameters.
pub fn field(name: &str, kind: DataType, params: &[(&str, &str)]) -> FieldSchema {
    FieldSchema {
        name: name.into(),
        data_type: kind.into(),
        type_params: pairs(params),
        ..Default::default()
    }
}

/// A request for a new collection.
pub fn creation(name: &str, fields: Vec<FieldSchema>, dynamic: bool) -> CreateCollectionRequest {
    let schema = CollectionSchema {
        name: name.into(),
        fields,
        enable_dynamic_field: dynamic,
        ..Default::default()
    };
    CreateCollectionRequest {
        collection_name: name.into(),
        schema: schema.encode_to_vec(),
        ..Default::default()
    }
}

/// Fails unless the call worked. A success says so in both codes.
#[allow(deprecated, reason = "older clients look at `error_code`")]
pub fn good(status: impl Into<Option<Status>>) {
    let status = status.into().expect("every answer has a status");
    assert_eq!((status.code, status.error_code), (0, 0), "{status:?}");
    assert_eq!((status.reason.as_str(), status.retriable), ("", false));
}

/// Makes a collection with an index of the given metric on each vector field, and loads it.
pub async fn create_loaded(
    client: &mut Client,
    request: CreateCollectionRequest,
    indexes: &[(&str, &str)],
) {
    let collection_name = request.collection_name.clone();
    good(client.create_collection(request).await.expect("an answer").into_inner());
    for (field, metric) in indexes {
        let request = CreateIndexRequest {
            collection_name: collection_name.clone(),
            field_name: (*field).into(),
            extra_params: pairs(&[("index_type", "FLAT"), ("metric_type", metric)]),
            ..Default::default()
        };
        good(client.create_index(request).await.expect("an answer").into_inner());
    }
    let request = LoadCollectionRequest { collection_name, ..Default::default() };
    good(client.load_collection(request).await.expect("an answer").into_inner());
}
