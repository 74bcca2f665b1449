//! How long a limit lasts, and where one window ends and the next begins.
//!
//! Times are milliseconds since the Unix epoch. A window is half open: its start belongs to it, its end to the next.

use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Span, Timestamp, Zoned};

use crate::Milliseconds;

/// How long a limit lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Window {
    /// As long as the scope: a run's budget, a project's.
    Total,
    /// From one full hour of the zone's clock to the next; always 60 minutes, also where the clock is set.
    Hour(TimeZone),
    /// From midnight to midnight, or the first moment after it where the clock skips midnight.
    Day(TimeZone),
    /// From Monday to Monday.
    Week(TimeZone),
    /// From the first to the first.
    Month(TimeZone),
    /// The last so many milliseconds, kept in 60 buckets: what was spent leaves up to a sixtieth later than it
    /// might, never earlier.
    Rolling {
        /// Its length; at least 60 milliseconds.
        length_ms: u64,
    },
}

/// Where a window begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bounds {
    /// Its first millisecond.
    pub start_ms: u64,
    /// The first millisecond of the next; `u64::MAX` where there is none.
    pub end_ms: u64,
}

/// The parts that a rolling window is kept in.
const BUCKETS: u64 = 60;
const HOUR_MS: u64 = 3_600_000;
const FOREVER: Bounds = Bounds { start_ms: 0, end_ms: u64::MAX };

impl Window {
    /// The window that a moment lies in. Where the calendar ends (the year 9999), so do the windows: the
    /// last one has no end.
    #[must_use]
    pub fn bounds(&self, now_ms: u64) -> Bounds {
        let found = match self {
            Self::Total => None,
            Self::Rolling { length_ms } => Some(grid(now_ms, bucket_ms(*length_ms), 0)),
            Self::Hour(zone) => moment(now_ms).map(|now| grid(now_ms, HOUR_MS, zone.to_offset(now).seconds())),
            Self::Day(zone) => calendar(now_ms, zone, |date| Some((date, date.tomorrow().ok()?))),
            Self::Week(zone) => calendar(now_ms, zone, |date| {
                let monday = date.checked_sub(Span::new().days(date.weekday().to_monday_zero_offset())).ok()?;
                Some((monday, monday.checked_add(Span::new().days(7)).ok()?))
            }),
            Self::Month(zone) => calendar(now_ms, zone, |date| {
                let first = date.first_of_month();
                Some((first, first.checked_add(Span::new().months(1)).ok()?))
            }),
        };
        found.unwrap_or(FOREVER)
    }

    /// The length of a rolling window; nothing for the others.
    #[must_use]
    pub const fn rolling_ms(&self) -> Option<u64> {
        match self {
            Self::Rolling { length_ms } => Some(*length_ms),
            _ => None,
        }
    }
}

/// Text that is not a window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// No such word.
    #[error("`{0}` is no window: use total, hour, day, week, month, or a span that rolls, as in \"last 24h\"")]
    Word(String),
    /// Too short to be kept in parts.
    #[error("`{0}` is too short a window: a rolling one has at least 1s")]
    Short(String),
    /// No such zone.
    #[error("`{0}` is no time zone: use a name of the IANA database, as in \"Europe/Berlin\"")]
    Zone(String),
    /// A zone where there is no calendar.
    #[error("a window of `{0}` has no `time_zone`: only hour, day, week and month follow a calendar")]
    Needless(String),
}

/// The shortest rolling window of a configuration.
const SHORTEST_ROLLING_MS: u64 = 1_000;

impl Window {
    /// As a configuration writes it: `total`, `hour`, `day`, `week`, `month` in a zone of the IANA database (UTC where none is
    /// named), or `last 24h`.
    ///
    /// # Errors
    /// When it is none of these, or there is no such zone.
    pub fn parse(word: &str, zone: Option<&str>) -> Result<Self, WindowError> {
        let of_calendar: Option<fn(TimeZone) -> Self> = match word {
            "hour" => Some(Self::Hour),
            "day" => Some(Self::Day),
            "week" => Some(Self::Week),
            "month" => Some(Self::Month),
            _ => None,
        };
        match (of_calendar, zone) {
            (Some(window), zone) => time_zone(zone.unwrap_or("UTC")).map(window),
            (None, Some(_)) => Err(WindowError::Needless(word.to_owned())),
            (None, None) if word == "total" => Ok(Self::Total),
            (None, None) => {
                let span = word.strip_prefix("last ").and_then(|span| span.parse::<Milliseconds>().ok());
                let length_ms = span.ok_or_else(|| WindowError::Word(word.to_owned()))?.as_u64();
                if length_ms < SHORTEST_ROLLING_MS {
                    return Err(WindowError::Short(word.to_owned()));
                }
                Ok(Self::Rolling { length_ms })
            }
        }
    }
}

/// From the database that is part of this program: what a zone means does not depend on the machine.
fn time_zone(name: &str) -> Result<TimeZone, WindowError> {
    TimeZoneDatabase::bundled().get(name).map_err(|_| WindowError::Zone(name.to_owned()))
}

fn bucket_ms(length_ms: u64) -> u64 {
    length_ms.div_ceil(BUCKETS).max(1)
}

/// The part of a regular grid, shifted by an offset from UTC, that a moment lies in.
fn grid(now_ms: u64, length_ms: u64, offset_s: i32) -> Bounds {
    let local = i128::from(now_ms).saturating_add(i128::from(offset_s).saturating_mul(1000));
    let into = local.checked_rem_euclid(i128::from(length_ms)).and_then(|rest| u64::try_from(rest).ok()).unwrap_or(0);
    let start_ms = now_ms.saturating_sub(into);
    // A grid that begins before the epoch has a short first part.
    let rest = length_ms.saturating_sub(into);
    Bounds { start_ms, end_ms: now_ms.saturating_add(rest) }
}

fn moment(ms: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()
}

fn calendar(now_ms: u64, zone: &TimeZone, dates: impl FnOnce(Date) -> Option<(Date, Date)>) -> Option<Bounds> {
    let now = moment(now_ms)?.to_zoned(zone.clone());
    let (first, next) = dates(now.date())?;
    let start = first.to_zoned(zone.clone()).ok()?;
    let end = next.to_zoned(zone.clone()).ok()?;
    Some(Bounds { start_ms: milliseconds(&start), end_ms: milliseconds(&end) })
}

/// What lies before the epoch begins with it.
fn milliseconds(moment: &Zoned) -> u64 {
    u64::try_from(moment.timestamp().as_millisecond()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        time_zone(name).expect("a zone of the bundled database")
    }

    fn at(text: &str) -> u64 {
        milliseconds(&text.parse::<Timestamp>().expect("a time").to_zoned(TimeZone::UTC))
    }

    fn shown(window: &Window, now: &str) -> (String, String) {
        let bounds = window.bounds(at(now));
        let show = |ms| moment(ms).expect("a moment").to_string();
        (show(bounds.start_ms), show(bounds.end_ms))
    }

    #[test]
    fn windows_follow_the_calendar_of_their_zone() {
        let berlin = || zone("Europe/Berlin");
        let pair = |start: &str, end: &str| (start.to_owned(), end.to_owned());
        for (window, now, expected) in [
            // 23 and 25 hours on the days the clock is set.
            (Window::Day(berlin()), "2026-03-29T12:00:00Z", pair("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z")),
            (Window::Day(berlin()), "2026-10-25T12:00:00Z", pair("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z")),
            (
                Window::Day(TimeZone::UTC),
                "2028-02-29T23:59:59.999Z",
                pair("2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"),
            ),
            (
                Window::Month(TimeZone::UTC),
                "2028-02-29T10:00:00Z",
                pair("2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
            ),
            (Window::Month(berlin()), "2026-12-31T23:00:00Z", pair("2026-12-31T23:00:00Z", "2027-01-31T23:00:00Z")),
            (Window::Week(TimeZone::UTC), "2026-11-22T12:00:00Z", pair("2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z")),
            (
                Window::Hour(zone("Asia/Kolkata")),
                "2026-01-01T00:10:00Z",
                pair("2025-12-31T23:30:00Z", "2026-01-01T00:30:00Z"),
            ),
            // The hour that comes twice is two hours.
            (Window::Hour(berlin()), "2026-10-25T00:30:00Z", pair("2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z")),
            (Window::Hour(berlin()), "2026-10-25T01:30:00Z", pair("2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z")),
            // Midnight is skipped: the day begins at one.
            (
                Window::Day(zone("America/Asuncion")),
                "2023-10-01T12:00:00Z",
                pair("2023-10-01T04:00:00Z", "2023-10-02T03:00:00Z"),
            ),
        ] {
            assert_eq!(shown(&window, now), expected, "{now}");
        }
    }

    #[test]
    fn a_window_ends_where_the_next_begins() {
        let windows = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"].map(zone);
        for zone in windows {
            for window in
                [Window::Hour(zone.clone()), Window::Day(zone.clone()), Window::Week(zone.clone()), Window::Month(zone)]
            {
                let mut bounds = window.bounds(at("2026-03-01T00:00:00Z"));
                for _ in 0..400 {
                    let next = window.bounds(bounds.end_ms);
                    assert_eq!(next.start_ms, bounds.end_ms, "{window:?}");
                    assert_eq!(window.bounds(next.end_ms - 1), next, "{window:?}");
                    bounds = next;
                }
            }
        }
    }

    #[test]
    fn windows_are_written_as_words() {
        assert_eq!(Window::parse("month", Some("Europe/Berlin")), Ok(Window::Month(zone("Europe/Berlin"))));
        assert_eq!(Window::parse("day", None), Ok(Window::Day(TimeZone::UTC)));
        assert_eq!(Window::parse("last 24h", None), Ok(Window::Rolling { length_ms: 86_400_000 }));
        for (word, zone, says) in [
            ("year", None, "`year` is no window: use total, hour, day, week, month"),
            ("last day", None, "`last day` is no window"),
            ("last 999ms", None, "at least 1s"),
            ("day", Some("Berlin"), "`Berlin` is no time zone"),
            ("total", Some("UTC"), "only hour, day, week and month follow a calendar"),
        ] {
            let error = Window::parse(word, zone).map_err(|error| error.to_string());
            assert!(error.as_ref().is_err_and(|error| error.contains(says)), "{word}: {error:?}");
        }
    }

    #[test]
    fn no_time_is_too_late_or_too_early() {
        for window in [
            Window::Total,
            Window::Day(TimeZone::UTC),
            Window::Month(zone("Europe/Berlin")),
            Window::Rolling { length_ms: 1 },
        ] {
            for now in [0, 1, u64::MAX - 1] {
                let bounds = window.bounds(now);
                assert!(bounds.start_ms <= now && now < bounds.end_ms, "{window:?} {now} {bounds:?}");
            }
        }
    }
}
