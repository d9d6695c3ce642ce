//! Moments and durations, as people write and read them.

use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Timestamp, Zoned};
use tress::{Dot, Millis, VersionVector, When};

const SECOND: Millis = 1000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;
const DAY: Millis = 24 * HOUR;

fn zoned(at: Millis) -> Zoned {
    let millis = i64::try_from(at).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX).to_zoned(TimeZone::system())
}

/// RFC 3339, UTC.
pub(crate) fn rfc3339(at: Millis) -> String {
    zoned(at).timestamp().to_string()
}

/// A stretch of time in its two largest units: `1h 30m`.
pub(crate) fn length(millis: Millis) -> String {
    let units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")];
    let mut rest = millis;
    let mut parts = Vec::new();
    for (unit, name) in units {
        if rest >= unit {
            parts.push(format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    parts.truncate(2);
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

/// A moment as people speak of it at `now`: `5m ago`, `in 2h`, or the day when it is far.
pub(crate) fn ago(at: Millis, now: Millis) -> String {
    let apart = at.abs_diff(now);
    if apart < 5 * SECOND {
        return "just now".to_owned();
    }
    if apart >= 30 * DAY {
        return zoned(at).strftime("%Y-%m-%d").to_string();
    }
    let units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")];
    let largest = units.into_iter().find(|&(unit, _)| apart >= unit).unwrap_or((SECOND, "s"));
    let text = format!("{}{}", apart / largest.0, largest.1);
    if at > now { format!("in {text}") } else { format!("{text} ago") }
}

/// A moment on the clock: `11:04` today, with the day on other days.
pub(crate) fn clock(at: Millis, now: Millis) -> String {
    format!("{}{}", day(at, now), zoned(at).strftime("%H:%M"))
}

/// A moment on the clock, to the second.
pub(crate) fn clock_seconds(at: Millis, now: Millis) -> String {
    format!("{}{}", day(at, now), zoned(at).strftime("%H:%M:%S"))
}

/// The day of a moment, with a blank behind it; nothing where it is today.
fn day(at: Millis, now: Millis) -> String {
    let (at, now) = (zoned(at), zoned(now));
    if at.date() == now.date() {
        String::new()
    } else if at.year() == now.year() {
        at.strftime("%b %-d ").to_string()
    } else {
        at.strftime("%Y-%m-%d ").to_string()
    }
}

fn millis(time: Timestamp) -> Option<Millis> {
    Millis::try_from(time.as_millisecond()).ok()
}

fn absolute(text: &str) -> Option<Millis> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return millis(time);
    }
    let local: jiff::civil::DateTime = text.parse().ok()?;
    millis(local.to_zoned(TimeZone::system()).ok()?.timestamp())
}

/// The last time that the clock showed `11:04`, to the end of that minute, or `11:04:30`, as they are told.
fn last_at(text: &str, now: Millis) -> Option<Millis> {
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = text.split(':').filter(|part| digits(part)).count();
    if text.len() != 3 * parts.max(2) - 1 || parts > 3 {
        return None;
    }
    let (unit, begin) =
        if parts == 2 { (MINUTE, format!("{text}:00")) } else { (SECOND, text.to_owned()) };
    let time: jiff::civil::Time = begin.parse().ok()?;
    let today = zoned(now).date();
    let on = |day: jiff::civil::Date| {
        millis(day.to_datetime(time).to_zoned(TimeZone::system()).ok()?.timestamp())
    };
    let begun = on(today).filter(|&at| at <= now).or_else(|| on(today.yesterday().ok()?));
    begun.map(|at| at.saturating_add(unit - 1).min(now))
}

fn shifted(text: &str, now: Millis) -> Option<(Millis, bool)> {
    let span: Span = text.parse().ok()?;
    let time = zoned(now).checked_add(span).ok()?;
    Some((millis(time.timestamp())?, span.is_negative()))
}

/// A moment: RFC 3339, a local date or time, or how far away it is (`3d`, `in 3d`, `2h ago`).
pub(crate) fn parse_time(text: &str, now: Millis) -> Option<Millis> {
    let text = text.trim();
    if text == "now" {
        return Some(now);
    }
    let ahead = text.strip_prefix("in ");
    // What is `in` some time is not past.
    let away = shifted(ahead.unwrap_or(text), now).filter(|&(_, past)| !(past && ahead.is_some()));
    absolute(text).or_else(|| away.map(|(time, _)| time))
}

/// A moment of a run: a dot, a version, a time, `2h ago`; anything else is a name.
pub(crate) fn parse_when(text: &str, now: Millis) -> When {
    let text = text.trim();
    if let Ok(dot) = text.parse::<Dot>() {
        return When::Event(dot);
    }
    if let Ok(version) = text.parse::<VersionVector>() {
        return When::Version(version);
    }
    let past = || shifted(text, now).filter(|&(_, past)| past).map(|(time, _)| time);
    let named = if text == "now" { Some(now) } else { None };
    match named.or_else(|| absolute(text)).or_else(|| last_at(text, now)).or_else(past) {
        Some(time) => When::Time(time),
        None => When::Name(text.to_owned()),
    }
}

/// A duration: `30m`, `1h 30m`, `2 days`.
pub(crate) fn parse_duration(text: &str) -> Result<Millis, String> {
    let wrong = || format!("{text:?} is no duration; write it like 30m, 2h or 1d");
    let span: Span = text.trim().parse().map_err(|_| wrong())?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    Millis::try_from(length.as_millis()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_800_000_000_000;

    #[test]
    fn durations_are_read_and_written() {
        assert_eq!(parse_duration("30m"), Ok(30 * MINUTE));
        assert_eq!(parse_duration("1h 30m"), Ok(90 * MINUTE));
        assert_eq!(parse_duration("1d"), Ok(DAY));
        assert!(parse_duration("-5m").is_err());
        assert!(parse_duration("soon").is_err());
        assert_eq!(length(90 * MINUTE), "1h 30m");
        assert_eq!(length(0), "0s");
    }

    #[test]
    fn moments_are_told_apart() {
        assert_eq!(parse_when("2h ago", NOW), When::Time(NOW - 2 * HOUR));
        assert_eq!(parse_when("now", NOW), When::Time(NOW));
        assert_eq!(parse_when("1970-01-01T00:00:01Z", NOW), When::Time(1000));
        for (ago, seconds) in [(3 * HOUR, false), (3 * HOUR, true), (23 * HOUR, false), (0, false)]
        {
            let at = NOW - ago;
            let (shown, unit) = match seconds {
                true => (zoned(at).strftime("%H:%M:%S"), SECOND),
                false => (zoned(at).strftime("%H:%M"), MINUTE),
            };
            let end = (at / unit * unit + unit - 1).min(NOW);
            assert_eq!(parse_when(&shown.to_string(), NOW), When::Time(end), "{shown}");
        }
        let ahead = zoned(NOW + 30 * SECOND).strftime("%H:%M:%S").to_string();
        let yesterday = NOW + 30 * SECOND - DAY;
        assert_eq!(parse_when(&ahead, NOW), When::Time(yesterday / SECOND * SECOND + SECOND - 1));
        for name in ["1:2", "24:00", "12:3", "12:345", "aa:bb", "10:00:00:00"] {
            assert_eq!(parse_when(name, NOW), When::Name(name.to_owned()));
        }
        assert_eq!(parse_when("0", NOW), When::Version(VersionVector::new()));
        assert_eq!(parse_when("before-refactor", NOW), When::Name("before-refactor".to_owned()));
        assert_eq!(parse_when("abcd12", NOW), When::Name("abcd12".to_owned()));
        let dot = format!("{}:3", "ab".repeat(16));
        assert!(matches!(parse_when(&dot, NOW), When::Event(_)));
        let version = format!("{dot}+{}:1", "cd".repeat(16));
        assert!(matches!(parse_when(&version, NOW), When::Version(_)));
    }

    #[test]
    fn moments_are_told_as_people_speak() {
        assert_eq!(ago(NOW - 5 * MINUTE, NOW), "5m ago");
        assert_eq!(ago(NOW + 2 * HOUR + MINUTE, NOW), "in 2h");
        assert_eq!(ago(NOW - SECOND, NOW), "just now");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(parse_time("in 3d", NOW), Some(NOW + 3 * DAY));
        assert_eq!(parse_time("3d ago", NOW), Some(NOW - 3 * DAY));
        assert_eq!(parse_time("in -3d", NOW), None);
    }
}
