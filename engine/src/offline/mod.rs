//! Work on a store without a server: it needs only the bucket.
//!
//! [`inspect`](inspect::inspect) and [`verify`](verify::verify) read and take no lock. [`compact`], [`repair`] and
//! [`gc`] take the writer's right and are refused while a server has it; they know nothing of rows that are only
//! in a server's log, and leave the log position alone, so the next server finds them.

pub mod inspect;
pub mod maintain;
mod orphans;
pub mod repair;
pub mod verify;

pub use inspect::{CollectionReport, SegmentReport, StoreReport, inspect};
pub use maintain::{compact, gc};
pub use repair::{RepairReport, repair};
pub use verify::{VerifyReport, verify};

use crate::core::error::{Error, Result, Subject};
use crate::storage::bucket::Bucket;

/// Tells a person what is being done.
pub type Progress<'a> = &'a (dyn Fn(&str) + Send + Sync);

async fn open_store(location: &str) -> Result<(Bucket, String)> {
    let bucket = Bucket::open(location, false)?;
    let id = crate::api::read_store_file(&bucket).await?.ok_or_else(|| {
        Error::not_found(
            Subject::Store,
            format!("{location} is not a store of Elanus: elanus.json is missing"),
        )
    })?;
    Ok((bucket, id))
}
