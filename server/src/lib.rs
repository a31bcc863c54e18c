//! The Milvus face of Elanus: gRPC in Milvus's own protocol over [`elanus_engine`].
//!
//! Each call is converted, handed to the engine, and its answer converted back; nothing is decided
//! here that the engine could decide. `convert` knows Milvus's messages, `proxy` its calls,
//! [`access`] its users, [`status`] its errors, [`service`] joins them, and [`Server`] listens.
//!
//! A failed call is an ordinary answer with a [`status::Failure`] inside, never a gRPC error: that is
//! how Milvus's clients expect it. Calls that are not built answer
//! code 10, those without a place for it `UNIMPLEMENTED`.

pub mod access;
pub mod admission;
mod answer;
pub mod context;
pub mod convert;
pub mod deadline;
pub mod import;
pub mod memory;
pub mod proxy;
pub mod quota;
pub mod server;
pub mod service;
pub mod slow;
pub mod status;

pub use server::{ServeOptions, Server};
