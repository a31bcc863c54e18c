//! Messages and nothing else: Milvus's wire protocol and what Elanus writes to disk.
//!
//! The files in `milvus/` are Milvus's own (Apache-2.0, licence beside them), unchanged.
#![allow(missing_docs, clippy::all, rustdoc::all)]

/// Milvus's packages, nested as their names are: generated code refers to them by path.
pub mod milvus {
    pub mod proto {
        pub mod common {
            tonic::include_proto!("milvus.proto.common");
        }
        pub mod feder {
            tonic::include_proto!("milvus.proto.feder");
        }
        pub mod milvus {
            tonic::include_proto!("milvus.proto.milvus");
        }
        pub mod msg {
            tonic::include_proto!("milvus.proto.msg");
        }
        pub mod rg {
            tonic::include_proto!("milvus.proto.rg");
        }
        pub mod schema {
            tonic::include_proto!("milvus.proto.schema");
        }
    }
}

pub use milvus::proto::{common, milvus as service, schema};

/// Which privilege a request needs, and on what, as the options of its message say.
pub mod guards;

/// What lies on the bucket: see FORMAT.md.
pub mod disk {
    tonic::include_proto!("elanus.disk");
}
