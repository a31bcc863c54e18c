//! How long a caller waits.

use std::time::Duration;

use tonic::metadata::MetadataMap;

/// An answer has to be on its way this long before the caller gives up.
const MARGIN: Duration = Duration::from_millis(20);

/// The time that a call has, if its caller said so; a little less than he waits, so that he gets the
/// answer.
pub fn of(metadata: &MetadataMap) -> Option<Duration> {
    let given = parse(metadata.get("grpc-timeout")?.to_str().ok()?)?;
    Some(given.saturating_sub(MARGIN.min(given / 10)))
}

/// At most eight digits and a unit.
fn parse(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let digits = text.strip_suffix(unit)?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        'H' => Duration::from_secs(count * 3_600),
        'M' => Duration::from_secs(count * 60),
        'S' => Duration::from_secs(count),
        'm' => Duration::from_millis(count),
        'u' => Duration::from_micros(count),
        'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        for (text, expected) in [
            ("10S", Some(Duration::from_secs(10))),
            ("99999999m", Some(Duration::from_millis(99_999_999))),
            ("1H", Some(Duration::from_secs(3_600))),
            ("999999999m", None),
            ("m", None),
            ("", None),
            ("1x", None),
            ("-1S", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
