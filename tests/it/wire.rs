//! Requests that pymilvus would not let out: each is refused in the answer, with Milvus's code, the
//! old code and words, and changes nothing.

mod bad_names;
mod bad_reads;
mod bad_schemas;
mod bad_writes;
mod every;
mod good;
mod kept;
mod raw;
mod requests;
mod story;

use elanus_proto::common::Status;
use elanus_proto::service::QueryRequest;

use crate::harness;
use crate::served::{Client, Served};
use requests::{Call, prepare, send};

/// Code and old code of a failure.
type Codes = (i32, i32);
const INVALID: Codes = (1100, 5);
const MISSING: Codes = (1101, 5);
const NO_COLLECTION: Codes = (100, 4);
const NOT_LOADED: Codes = (101, 1);
const NO_PARTITION: Codes = (200, 15);
const NO_DATABASE: Codes = (800, 1);
const NO_FIELD: Codes = (1700, 1);
const FIELD_NAME: Codes = (1701, 1);
const UNSUPPORTED: Codes = (10, 1);
const OLD_SCHEMA: Codes = (109, 62);

/// What it is, the request, its codes, and a part of the words.
type Case = (&'static str, Call, Codes, &'static str);

/// Everything in the collection, to see that nothing has changed.
async fn contents(client: &mut Client) -> String {
    let request = QueryRequest {
        collection_name: "plain".into(),
        expr: "id > -9223372036854775807".into(),
        output_fields: vec!["*".into()],
        ..Default::default()
    };
    let answer = client.query(request).await.expect("an answer").into_inner();
    crate::served::good(answer.status);
    format!("{:?}", answer.fields_data)
}

#[allow(deprecated, reason = "older clients look at `error_code`")]
fn fault(status: Option<Status>, codes: Codes, words: &str) -> Option<String> {
    let Some(status) = status else { return Some("no status".into()) };
    let found = (status.code, status.error_code);
    let right = found == codes && status.reason.contains(words) && status.detail == status.reason;
    (!right).then(|| format!("{found:?} {}; expected {codes:?} {words}", status.reason))
}

/// Sends each request and compares; whatever it was, the rows stay as they were.
async fn check(cases: Vec<Case>) {
    let folder = harness::folder();
    let served = Served::start(folder.path(), &Default::default()).await;
    let mut client = served.client.clone();
    prepare(&mut client).await;
    let before = contents(&mut client).await;
    let count = cases.len();
    let mut wrong = Vec::new();
    for (what, call, codes, words) in cases {
        match send(&mut client, call).await {
            Ok(status) => wrong.extend(fault(status, codes, words).map(|w| format!("{what}: {w}"))),
            Err(e) => wrong.push(format!("{what}: the call itself failed: {e}")),
        }
        if contents(&mut client).await != before {
            panic!("{what}: the rows have changed");
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    drop(client);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_writes_are_refused() {
    check(bad_writes::cases()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_searches_and_queries_are_refused() {
    check(bad_reads::cases()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_schemas_and_names_are_refused() {
    check(bad_schemas::cases()).await;
}
