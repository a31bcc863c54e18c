//! Moments and the intervals that are added to them.

use std::sync::Arc;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta};
use datafusion::arrow::array::{ArrayRef, AsArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType as ArrowType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{Expr, lit};

use super::ast::{ArithOp, CompareOp};
use super::compare::plain;
use super::fault::{Fault, Outcome};
use super::translate::Meaning;
use super::udf::{self, Kernel};
use super::value::Value;

const UTC: &str = "UTC";

/// A span of time in the units of a calendar in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interval {
    /// Years and months, as months.
    months: i64,
    /// All else, in seconds.
    seconds: i64,
}

impl Interval {
    /// Reads an ISO 8601 duration of whole numbers: `P1Y2M3DT4H5M6S`, each part optional.
    pub fn read(text: &str) -> Outcome<Self> {
        let bad = || Fault::new(format!("invalid ISO 8601 duration: {text}"));
        let rest = text.strip_prefix('P').ok_or_else(bad)?;
        let (date, time) = match rest.split_once('T') {
            Some((date, time)) => (date, time),
            None => (rest, ""),
        };
        let [years, months, days] = parts(date, ['Y', 'M', 'D']).ok_or_else(bad)?;
        let [hours, minutes, seconds] = parts(time, ['H', 'M', 'S']).ok_or_else(bad)?;
        let months = years.checked_mul(12).and_then(|m| m.checked_add(months));
        let time = |count: i64, size: i64| count.checked_mul(size);
        let seconds = time(days, 86_400)
            .zip(time(hours, 3_600))
            .and_then(|(a, b)| a.checked_add(b))
            .zip(time(minutes, 60))
            .and_then(|(a, b)| a.checked_add(b))
            .and_then(|sum| sum.checked_add(seconds));
        let (months, seconds) = months.zip(seconds).ok_or_else(bad)?;
        Ok(Self { months, seconds })
    }

    fn negated(self) -> Self {
        Self { months: -self.months, seconds: -self.seconds }
    }

    /// The moment so much later; a day that its month lacks runs on into the next. `None` out of range.
    fn after(self, micros: i64) -> Option<i64> {
        let moment = DateTime::from_timestamp_micros(micros)?.naive_utc();
        let shifted = i64::from(moment.year()) * 12 + i64::from(moment.month0()) + self.months;
        let year = i32::try_from(shifted.div_euclid(12)).ok()?;
        let month = u32::try_from(shifted.rem_euclid(12)).ok()? + 1;
        let day = TimeDelta::days(i64::from(moment.day0()));
        let date = NaiveDate::from_ymd_opt(year, month, 1)?.checked_add_signed(day)?;
        let shift = TimeDelta::try_seconds(self.seconds)?;
        let moment = date.and_time(moment.time()).checked_add_signed(shift)?;
        Some(moment.and_utc().timestamp_micros())
    }
}

/// Three whole numbers, each behind it its unit, in order; those that are missing are 0.
fn parts(mut text: &str, units: [char; 3]) -> Option<[i64; 3]> {
    let mut out = [0; 3];
    for (out, unit) in out.iter_mut().zip(units) {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && text[digits..].starts_with(unit) {
            *out = text[..digits].parse().ok()?;
            text = &text[digits + 1..];
        }
    }
    text.is_empty().then_some(out)
}

/// A moment as a constant of the column's type.
pub(super) fn literal(micros: i64) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(micros), Some(UTC.into()))
}

/// `field + interval`.
pub(super) fn shifted(expr: Expr, op: ArithOp, interval: Interval) -> Outcome<Meaning> {
    match op {
        ArithOp::Add => Ok(Meaning::Moment(expr, interval)),
        ArithOp::Sub => Ok(Meaning::Moment(expr, interval.negated())),
        _ => Err(Fault::new("an interval can only be added to a moment or taken from it")),
    }
}

/// `field + interval op moment`.
pub(super) fn compare(
    op: CompareOp,
    expr: Expr,
    interval: Interval,
    value: &Value,
) -> Outcome<Expr> {
    let Value::Moment(moment) = value else {
        return Err(Fault::new(
            "a moment with an interval can only be compared with a moment: ISO '2025-01-01T00:00:00Z'",
        ));
    };
    let back = interval.seconds.checked_mul(1_000_000).and_then(|s| moment.checked_sub(s));
    if interval.months == 0
        && let Some(bound) = back
    {
        // The same for every row, and bounds of columns know it.
        return Ok(plain(expr, op, lit(literal(bound))));
    }
    let label = format!("moment_after({} months, {} s)", interval.months, interval.seconds);
    let later = udf::call(label, After(interval), vec![expr]);
    Ok(plain(later, op, lit(literal(*moment))))
}

#[derive(Debug)]
struct After(Interval);

impl Kernel for After {
    fn output(&self) -> ArrowType {
        ArrowType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
    }

    fn run(&self, args: &[ArrayRef], _: usize) -> Result<ArrayRef> {
        let wrong = || DataFusionError::Execution("an interval is added to moments".into());
        let moments = args
            .first()
            .and_then(|a| a.as_primitive_opt::<TimestampMicrosecondType>())
            .ok_or_else(wrong)?;
        let later: TimestampMicrosecondArray =
            moments.iter().map(|moment| self.0.after(moment?)).collect();
        Ok(Arc::new(later.with_timezone(UTC)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elanus_engine::core::timestamptz::{Zone, utc_text};

    #[test]
    fn intervals_follow_the_calendar() {
        for (moment, interval, expected) in [
            ("2025-01-31T00:00:00Z", "P1M", "2025-03-03T00:00:00Z"),
            ("2024-02-29T01:02:03.5Z", "P1Y", "2025-03-01T01:02:03.5Z"),
            ("2025-01-01T00:00:00Z", "P1DT1H1M1S", "2025-01-02T01:01:01Z"),
            ("2025-12-31T23:00:00Z", "P2MT90M", "2026-03-04T00:30:00Z"),
            ("1969-12-31T23:59:59.9Z", "PT1S", "1970-01-01T00:00:00.9Z"),
            ("2025-01-01T00:00:00Z", "P", "2025-01-01T00:00:00Z"),
        ] {
            let micros = Zone::default().parse(moment).unwrap();
            let after = Interval::read(interval).unwrap().after(micros);
            assert_eq!(after.map(utc_text).as_deref(), Some(expected), "{moment} + {interval}");
        }
        let back = Interval::read("P1M").unwrap().negated();
        let micros = Zone::default().parse("2025-03-31T00:00:00Z").unwrap();
        assert_eq!(utc_text(back.after(micros).unwrap()), "2025-03-03T00:00:00Z");
        for bad in [
            "",
            "1D",
            "PD",
            "P1H",
            "P1M1Y",
            "PT1D",
            "P1.5D",
            "P-1D",
            "P1DT1",
            "P99999999999999999999D",
        ] {
            assert!(Interval::read(bad).is_err(), "{bad}");
        }
        assert_eq!(Interval::read("P999999999Y").unwrap().after(0), None);
    }
}
