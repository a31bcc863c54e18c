//! Calls by name, with bytes in and out: so that a test can go through all that the protocol has.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes};
use elanus_proto::common::Status;
use prost::Message;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;

/// An answer: its status, and the rest as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: Status,
    pub bytes: Bytes,
}

/// Where the status of an answer is: the answer itself, or one of its fields.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Whole,
    Field(u32),
}

/// Calls the service by name.
pub struct Raw {
    channel: Channel,
    places: BTreeMap<String, Place>,
}

impl Raw {
    pub fn new(channel: Channel) -> Self {
        Self { channel, places: places() }
    }

    /// Whether the call takes one message and gives one, with a status.
    pub fn has_status(&self, method: &str) -> bool {
        self.places.contains_key(method)
    }

    /// Calls, and takes the status out of the answer.
    pub async fn call(&self, method: &str, request: Vec<u8>) -> Result<Answer, tonic::Status> {
        let path = format!("/milvus.proto.milvus.MilvusService/{method}");
        let path: PathAndQuery = path.parse().expect("a path");
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.expect("a connection");
        let request = tonic::Request::new(Bytes::from(request));
        let bytes: Bytes = client.unary(request, path, AsBytes).await?.into_inner();
        let status = match self.places.get(method) {
            Some(Place::Whole) => Status::decode(bytes.clone()).expect("a status"),
            Some(Place::Field(tag)) => status_at(bytes.clone(), *tag),
            None => panic!("{method} has no place for a status, and answered"),
        };
        Ok(Answer { status, bytes })
    }
}

fn status_at(mut bytes: Bytes, wanted: u32) -> Status {
    use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
    while bytes.has_remaining() {
        let (tag, kind) = decode_key(&mut bytes).expect("a key");
        if tag == wanted && kind == WireType::LengthDelimited {
            let length = decode_varint(&mut bytes).expect("a length") as usize;
            return Status::decode(bytes.split_to(length)).expect("a status");
        }
        skip_field(kind, tag, &mut bytes, DecodeContext::default()).expect("a field");
    }
    panic!("the answer has no status")
}

/// Read from the protocol's own files.
fn places() -> BTreeMap<String, Place> {
    let folder = crate::layers::root().join("proto/milvus");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("the protocol");
    let (text, feder) = (read("milvus.proto"), read("feder.proto"));
    let mut fields = status_fields(&text, "");
    fields.extend(status_fields(&feder, "feder."));
    let (_, service) = text.split_once("service MilvusService {").expect("the service");
    let service = service.split("\n}").next().unwrap_or_default();
    let calls = service.lines().filter_map(|line| line.trim().strip_prefix("rpc "));
    let place = |line: &str| {
        let (name, rest) = line.split_once('(')?;
        let answer = rest.split("returns").nth(1)?.trim().strip_prefix('(')?.split(')').next()?;
        let place = match answer.trim() {
            "common.Status" => Place::Whole,
            answer => *fields.get(answer)?,
        };
        Some((name.trim().to_string(), place))
    };
    calls.filter(|line| !line.contains("stream ")).filter_map(place).collect()
}

/// The messages of a file that have a status, and in which field.
fn status_fields(text: &str, package: &str) -> BTreeMap<String, Place> {
    let messages = text.split("\nmessage ").skip(1).filter_map(|message| {
        let (name, body) = message.split_once('{')?;
        let body = body.split("\n}").next()?;
        let line = body.lines().map(str::trim).find(|l| l.starts_with("common.Status "))?;
        let (_, tag) = line.split_once('=')?;
        let digits: String = tag.trim().chars().take_while(char::is_ascii_digit).collect();
        Some((format!("{package}{}", name.trim()), Place::Field(digits.parse().ok()?)))
    });
    messages.collect()
}

#[derive(Clone, Copy, Default)]
struct AsBytes;

impl Codec for AsBytes {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        *self
    }
    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for AsBytes {
    type Item = Bytes;
    type Error = tonic::Status;
    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), tonic::Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for AsBytes {
    type Item = Bytes;
    type Error = tonic::Status;
    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, tonic::Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
