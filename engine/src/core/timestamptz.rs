//! Moments as users write and read them: ISO 8601 with an offset or in a named time zone.
//!
//! A moment is microseconds since 1970 in UTC, whatever zone it was written in.

use chrono::offset::LocalResult;
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Timelike};
use chrono_tz::Tz;

/// The zone where none is named.
pub const DEFAULT_ZONE: &str = "UTC";
/// Offsets that exist, in seconds: -12:00 to +14:00.
const OFFSETS: std::ops::RangeInclusive<i64> = -12 * 3600..=14 * 3600;

/// A time zone of the IANA database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone(Tz);

impl Default for Zone {
    fn default() -> Self {
        Self(Tz::UTC)
    }
}

impl Zone {
    /// The zone of that name, as in `Asia/Shanghai`.
    pub fn named(name: &str) -> Option<Self> {
        name.parse().ok().map(Self)
    }

    /// The moment that a text means. Without an offset it is read in this zone.
    ///
    /// # Errors
    /// What is wrong, in Milvus's words.
    pub fn parse(self, text: &str) -> Result<i64, String> {
        let unknown =
            || format!("invalid timestamp string: '{text}'. Does not match any known format");
        let written = Written::read(text).ok_or_else(unknown)?;
        let moment = match written.offset {
            Some(offset) if !OFFSETS.contains(&offset) => {
                return Err(format!(
                    "UTC offset hour {} is out of the valid range [{}, {}]",
                    offset / 3600,
                    OFFSETS.start() / 3600,
                    OFFSETS.end() / 3600
                ));
            }
            Some(offset) => written.local.and_utc() - TimeDelta::seconds(offset),
            None => self.resolve(written.local).ok_or_else(unknown)?.to_utc(),
        };
        Ok(moment.timestamp_micros())
    }

    /// A local time as a moment. Of two the earlier; one that a change of clocks skips is read with the
    /// offset before it.
    fn resolve(self, local: NaiveDateTime) -> Option<DateTime<Tz>> {
        match self.0.from_local_datetime(&local) {
            LocalResult::Single(moment) | LocalResult::Ambiguous(moment, _) => Some(moment),
            LocalResult::None => {
                let before = self.0.from_utc_datetime(&(local - TimeDelta::days(1)));
                let offset = before.offset().fix().local_minus_utc();
                Some(self.0.from_utc_datetime(&(local - TimeDelta::seconds(i64::from(offset)))))
            }
        }
    }

    fn local(self, micros: i64) -> Option<DateTime<Tz>> {
        DateTime::from_timestamp_micros(micros).map(|utc| utc.with_timezone(&self.0))
    }

    /// A moment as text in this zone: up to six decimals, none that is not needed, `Z` where the offset is 0.
    pub fn text(self, micros: i64) -> String {
        let Some(local) = self.local(micros) else { return micros.to_string() };
        let mut text = format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            local.year(),
            local.month(),
            local.day(),
            local.hour(),
            local.minute(),
            local.second()
        );
        let fraction = micros.rem_euclid(1_000_000);
        if fraction != 0 {
            let digits = format!(".{fraction:06}");
            text.push_str(digits.trim_end_matches('0'));
        }
        let offset = local.offset().fix().local_minus_utc() / 60;
        if offset == 0 {
            text.push('Z');
        } else {
            let sign = if offset < 0 { '-' } else { '+' };
            let offset = offset.abs();
            text.push_str(&format!("{sign}{:02}:{:02}", offset / 60, offset % 60));
        }
        text
    }

    /// Parts of a moment in this zone.
    pub fn parts(self, micros: i64, parts: &[Part]) -> Vec<i64> {
        let Some(local) = self.local(micros) else { return vec![0; parts.len()] };
        let part = |part: &Part| match part {
            Part::Year => i64::from(local.year()),
            Part::Month => i64::from(local.month()),
            Part::Day => i64::from(local.day()),
            Part::Hour => i64::from(local.hour()),
            Part::Minute => i64::from(local.minute()),
            Part::Second => i64::from(local.second()),
            Part::Microsecond => micros.rem_euclid(1_000_000),
        };
        parts.iter().map(part).collect()
    }
}

/// A moment as text in UTC.
pub fn utc_text(micros: i64) -> String {
    Zone::default().text(micros)
}

/// A part of a moment that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Year.
    Year,
    /// Month, 1 to 12.
    Month,
    /// Day of the month, 1 to 31.
    Day,
    /// Hour, 0 to 23.
    Hour,
    /// Minute.
    Minute,
    /// Second.
    Second,
    /// Microseconds behind the second.
    Microsecond,
}

impl Part {
    /// The part of that name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "year" => Self::Year,
            "month" => Self::Month,
            "day" => Self::Day,
            "hour" => Self::Hour,
            "minute" => Self::Minute,
            "second" => Self::Second,
            "microsecond" => Self::Microsecond,
            _ => return None,
        })
    }
}

/// What stands in a text.
struct Written {
    local: NaiveDateTime,
    /// Seconds east of UTC.
    offset: Option<i64>,
}

impl Written {
    /// `2025-01-31T23:59:59.123456+08:00`, also with a space for the `T`, which then may have a short offset.
    fn read(text: &str) -> Option<Self> {
        if !text.is_ascii() {
            return None;
        }
        let (date, rest) = text.split_at_checked(10)?;
        let separator = rest.chars().next().filter(|c| matches!(c, 'T' | ' '))?;
        let (time, rest) = rest[1..].split_at_checked(8)?;
        let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
        let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
        let (nanos, rest) = fraction(rest)?;
        let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
        let local = date.and_hms_nano_opt(hour, minute, second, nanos)?;
        Some(Self { local, offset: offset(rest, separator == ' ')? })
    }
}

/// Three numbers of so many digits each.
fn numbers(text: &str, separator: char, digits: [usize; 3]) -> Option<[u32; 3]> {
    let mut out = [0; 3];
    let mut parts = text.split(separator);
    for (out, digits) in out.iter_mut().zip(digits) {
        let part = parts.next().filter(|p| p.len() == digits && is_digits(p))?;
        *out = part.parse().ok()?;
    }
    parts.next().is_none().then_some(out)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Nanoseconds behind a point or comma, and what follows them.
fn fraction(text: &str) -> Option<(u32, &str)> {
    let Some(digits) = text.strip_prefix(['.', ',']) else { return Some((0, text)) };
    let end = digits.bytes().take_while(u8::is_ascii_digit).count();
    let nine: String = digits[..end].chars().chain("000000000".chars()).take(9).collect();
    (end > 0).then_some((nine.parse().ok()?, &digits[end..]))
}

/// The offset that ends a text; `None` for what is no offset.
fn offset(text: &str, short: bool) -> Option<Option<i64>> {
    if matches!(text, "" | "Z") {
        return Some((text == "Z").then_some(0));
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = match text[1..].split_once(':') {
        Some(parts) => parts,
        None if short => (&text[1..], "00"),
        None => return None,
    };
    let number = |part: &str, most: i64| {
        let two = part.len() == 2 && is_digits(part);
        two.then(|| part.parse::<i64>().ok())?.filter(|v| *v <= most)
    };
    Some(Some(sign * (number(hours, 24)? * 3600 + number(minutes, 59)? * 60)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> Zone {
        Zone::named(name).unwrap()
    }

    #[test]
    fn what_is_written_means_one_moment_and_is_shown_in_any_zone() {
        let utc = Zone::default();
        let cases = [
            ("1970-01-01T00:00:00Z", "UTC", 0),
            ("1969-12-31T23:59:59.999999Z", "UTC", -1),
            ("2025-01-01T00:00:00+08:00", "UTC", 1_735_660_800_000_000),
            ("2025-01-01T00:00:00", "Asia/Shanghai", 1_735_660_800_000_000),
            ("2025-01-01 00:00:00", "Asia/Shanghai", 1_735_660_800_000_000),
            ("2025-01-01 00:00:00+08", "UTC", 1_735_660_800_000_000),
            ("2024-12-31 16:00:00Z", "America/New_York", 1_735_660_800_000_000),
            ("2024-12-31 16:00:00.5", "UTC", 1_735_660_800_500_000),
            ("9999-12-31T23:59:59Z", "UTC", 253_402_300_799_000_000),
            ("2025-01-01T00:00:00.1234567891Z", "UTC", 1_735_689_600_123_456),
        ];
        for (text, name, micros) in cases {
            assert_eq!(zone(name).parse(text), Ok(micros), "{text}");
            assert_eq!(utc.parse(&zone(name).text(micros)), Ok(micros), "{text}");
        }
        assert_eq!(zone("Asia/Kolkata").text(0), "1970-01-01T05:30:00+05:30");
        assert_eq!(zone("America/New_York").text(-1), "1969-12-31T18:59:59.999999-05:00");
        assert_eq!(utc.text(120_000), "1970-01-01T00:00:00.12Z");
        assert_eq!(zone("Asia/Shanghai").parts(0, &[Part::Hour, Part::Year]), [8, 1970]);
    }

    #[test]
    fn clocks_that_change_leave_one_moment_for_each_text() {
        let new_york = zone("America/New_York");
        // Skipped in March, twice there in November.
        let skipped = new_york.parse("2025-03-09T02:30:00").unwrap();
        assert_eq!(new_york.text(skipped), "2025-03-09T03:30:00-04:00");
        let twice = new_york.parse("2025-11-02T01:30:00").unwrap();
        assert_eq!(new_york.text(twice), "2025-11-02T01:30:00-04:00");
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "timestamp",
            "2025-01-01",
            "2025-02-29T00:00:00Z",
            "2025-04-31T00:00:00Z",
            "2025-01-01T24:00:00Z",
            "2025-01-01T00:00:60Z",
            "2025-1-1T00:00:00Z",
            "2025-01-01T00:00:00+8:00",
            "2025-01-01T00:00:00+08",
            "2025-01-01T00:00:00z",
            "2025-01-01T00:00:00.Z",
            "2025-01-01T00:00:00+08:60",
            "é025-01-01T00:00:00Z",
        ] {
            let why = Zone::default().parse(text).unwrap_err();
            assert!(why.contains(&format!("invalid timestamp string: '{text}'")), "{why}");
        }
        for text in ["2025-01-01T00:00:00+24:00", "2025-01-01T00:00:00-13:00"] {
            let why = Zone::default().parse(text).unwrap_err();
            assert!(why.contains("out of the valid range [-12, 14]"), "{why}");
        }
        assert!(Zone::named("Mars/Olympus").is_none());
    }
}
