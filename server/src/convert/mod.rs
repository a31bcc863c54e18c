//! Between Milvus's messages and the engine's types. No I/O, no state.

pub mod columns;
pub mod functions;
pub mod ids;
pub mod params;
pub mod place;
pub mod placeholder;
pub mod results;
pub mod schema;
pub mod sparse;
pub mod structs;
pub mod template;
pub mod timezone;
pub mod vectors;

use crate::status::Failure;
use std::fmt::Display;

/// A wrong parameter.
pub(crate) fn invalid(message: impl Into<String>) -> Failure {
    Failure::parameter(message)
}

/// A wrong parameter with what was expected and what came.
pub(crate) fn mismatch(
    message: impl AsRef<str>,
    expected: impl Display,
    actual: impl Display,
) -> Failure {
    Failure::expected(&expected.to_string(), &actual.to_string(), message.as_ref())
}

/// Our own mistake.
pub(crate) fn internal(message: impl Into<String>) -> Failure {
    elanus_engine::core::error::Error::internal(message).into()
}
