//! Cost week by week, and which change deserves a look.

use jiff::tz::TimeZone;
use serde::Serialize;
use tollgate_core::Nanodollars;

use super::{Report, Table, Usd, grouped, total};
use crate::book::Window;
use crate::calls::Call;

/// A change of at least this much, up or down, deserves a look: 15 %.
const LOOK_PERMILLE: u64 = 150;
/// And of at least this much, a review: 20 %.
const REVIEW_PERMILLE: u64 = 200;

/// Cost week by week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WeekReport {
    /// In order; weeks without a call are there too.
    pub weeks: Vec<Week>,
}

/// One week, from Monday to Monday.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Week {
    /// Its Monday.
    pub monday: String,
    /// What its calls cost.
    pub cost_usd: Usd,
    /// Its calls.
    pub calls: usize,
    /// The change against the week before, in thousandths; nothing where that cost nothing.
    pub change_permille: Option<i64>,
    /// What the change deserves.
    pub flag: Flag,
}

/// What a change deserves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Flag {
    /// Nothing.
    #[default]
    None,
    /// A look.
    Look,
    /// A review.
    Review,
}

impl Flag {
    fn of(change_permille: i64) -> Self {
        match change_permille.unsigned_abs() {
            REVIEW_PERMILLE.. => Self::Review,
            LOOK_PERMILLE.. => Self::Look,
            _ => Self::None,
        }
    }
}

/// The most weeks shown: twenty years.
const WEEKS: usize = 1040;

/// Cost by week, in the weeks of a time zone.
#[must_use]
pub fn weeks(calls: &[Call], zone: &TimeZone) -> WeekReport {
    let window = Window::Week(zone.clone());
    let by_week = grouped(calls, |call| window.bounds(call.started_ms).start_ms);
    let (Some(first), Some(last)) = (by_week.keys().next().copied(), by_week.keys().next_back().copied()) else {
        return WeekReport { weeks: Vec::new() };
    };
    let mut weeks = Vec::new();
    let mut before: Option<Nanodollars> = None;
    let mut start_ms = first;
    while start_ms <= last && weeks.len() < WEEKS {
        let calls = by_week.get(&start_ms).map_or(&[][..], Vec::as_slice);
        let cost = total(calls.iter().copied());
        let change_permille = before.and_then(|before| change(before, cost));
        let flag = change_permille.map_or(Flag::None, Flag::of);
        weeks.push(Week {
            monday: date(start_ms, zone),
            cost_usd: Usd(cost),
            calls: calls.len(),
            change_permille,
            flag,
        });
        before = Some(cost);
        start_ms = window.bounds(start_ms).end_ms;
    }
    WeekReport { weeks }
}

fn change(before: Nanodollars, now: Nanodollars) -> Option<i64> {
    let (before, now) = (i128::from(before.as_u64()), i128::from(now.as_u64()));
    let thousandfold = now.checked_sub(before)?.checked_mul(1000)?;
    i64::try_from(thousandfold.checked_div(before)?).ok()
}

fn date(ms: u64, zone: &TimeZone) -> String {
    let moment = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    moment.map_or_else(|| "?".to_owned(), |moment| moment.to_zoned(zone.clone()).date().to_string())
}

impl Report for WeekReport {
    fn tables(&self) -> Vec<Table> {
        let mut table = Table::new("cost by week (USD)", &["week of", "cost", "calls", "change", "flag"]);
        for week in &self.weeks {
            let change = week.change_permille.map_or_else(|| "-".to_owned(), |change| format!("{:+} %", change / 10));
            let flag = match week.flag {
                Flag::None => "",
                Flag::Look => "look",
                Flag::Review => "review",
            };
            table.row([
                week.monday.clone(),
                week.cost_usd.to_string(),
                week.calls.to_string(),
                change,
                flag.to_owned(),
            ]);
        }
        vec![table]
    }
}
