//! Names of tables as of a moment of the past: `things@version 7`, which no collection can have.

use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use elanus_engine::api::AsOf;
use elanus_engine::core::error::{Error, Result, Subject};
use elanus_engine::core::time;

/// Numbers from here on are timestamps of the store (milliseconds shifted left by 18), below it milliseconds.
const FIRST_TIMESTAMP: u64 = 1 << 45;

/// The kinds of moments, as SQL names them.
pub(crate) const KINDS: [&str; 3] = ["VERSION", "TIMESTAMP", "SNAPSHOT"];

/// The name of a table as of a moment.
pub(crate) fn join(table: &str, kind: &str, value: &str) -> String {
    format!("{table}@{} {value}", kind.to_lowercase())
}

/// The table and the moment of such a name; none if it is an ordinary one.
pub(crate) fn split(name: &str) -> Option<(&str, &str)> {
    name.split_once('@')
}

/// The moment that the part behind the `@` means.
pub(crate) fn parse(text: &str) -> Result<AsOf> {
    let (kind, value) = text.split_once(' ').unwrap_or((text, ""));
    let bad = |expected: &str| {
        let why = format!("AS OF {} {value}: {expected} is expected", kind.to_uppercase());
        Error::invalid(Subject::Expression, why)
    };
    match kind {
        "version" => value.parse().map(AsOf::Version).map_err(|_| bad("a number")),
        "snapshot" => Ok(AsOf::Snapshot(value.to_string())),
        "timestamp" => {
            if let Ok(number) = value.parse::<u64>() {
                let ms = number < FIRST_TIMESTAMP;
                return Ok(AsOf::Timestamp(if ms { end_of(number) } else { number }));
            }
            let nanos = string_to_timestamp_nanos(value)
                .map_err(|_| bad("a time as '2026-01-31 12:00:00' (UTC) or milliseconds"))?;
            let ms = u64::try_from(nanos / 1_000_000).map_err(|_| bad("a time after 1970"))?;
            Ok(AsOf::Timestamp(end_of(ms)))
        }
        _ => Err(bad("VERSION n, TIMESTAMP 't' or SNAPSHOT 's'")),
    }
}

/// The last timestamp of a millisecond.
fn end_of(ms: u64) -> u64 {
    time::from_millis(ms + 1) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read() {
        let of = |text: &str| parse(text).map_err(|e| e.message().to_string());
        assert_eq!(of("version 7"), Ok(AsOf::Version(7)));
        assert_eq!(of("snapshot a b"), Ok(AsOf::Snapshot("a b".into())));
        let second = Ok(AsOf::Timestamp(end_of(1_000)));
        assert_eq!(of("timestamp 1970-01-01 00:00:01"), second);
        assert_eq!(of("timestamp 1970-01-01T01:00:01+01:00"), second);
        assert_eq!(of("timestamp 1000"), second);
        assert_eq!(of("timestamp 470663271961329664"), Ok(AsOf::Timestamp(470663271961329664)));
        for bad in ["version x", "timestamp soon", "moment 7", ""] {
            assert!(of(bad).is_err_and(|e| e.contains("expected")), "{bad}");
        }
        let name = join("t", "VERSION", "7");
        assert_eq!(split(&name).map(|(t, w)| (t, of(w))), Some(("t", Ok(AsOf::Version(7)))));
        assert_eq!(split("t"), None);
    }
}
