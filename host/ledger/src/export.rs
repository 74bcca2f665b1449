//! Writes a ledger out: its entries as JSON lines or CSV, its calls as FOCUS (the FinOps cost and usage specification, 1.0
//! column names).

use std::io::{self, Write};

use jiff::Timestamp;
use rusqlite::{Row, params};
use serde::Serialize;
use tollgate_core::Nanodollars;

use crate::book::EntryKind;
use crate::calls::Call;
use crate::report::{Period, Usd, csv_cell, load};
use crate::store::{Sqlite, StoreError};

/// In which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// An entry a line, each a JSON object; amounts in dollars, exact.
    JsonLines,
    /// An entry a line, with a head.
    Csv,
    /// A call a line, as CSV with FOCUS columns.
    Focus,
}

/// Why a ledger was not written out.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Where it goes.
    #[error("the export cannot be written: {0}")]
    Write(#[from] io::Error),
    /// Where it comes from.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A row that cannot be JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// One entry, with the accounts it was charged to.
#[derive(Debug, Serialize)]
struct EntryRow {
    id: i64,
    at: String,
    kind: &'static str,
    reservation: String,
    held_usd: Usd,
    released_usd: Usd,
    spent_usd: Usd,
    refunded_usd: Usd,
    accounts: Vec<String>,
}

/// Writes out what happened in a period; how many lines that were.
///
/// # Errors
/// When the ledger cannot be read or the target not be written.
pub fn export(store: &Sqlite, format: ExportFormat, period: Period, mut to: impl Write) -> Result<u64, ExportError> {
    match format {
        ExportFormat::JsonLines => each_entry(store, period, |entry| {
            serde_json::to_writer(&mut to, entry)?;
            Ok(to.write_all(b"\n")?)
        }),
        ExportFormat::Csv => {
            write_cells(&mut to, ENTRY_COLUMNS.iter().map(|&column| column.to_owned()))?;
            each_entry(store, period, |entry| Ok(write_cells(&mut to, entry_cells(entry))?))
        }
        ExportFormat::Focus => {
            write_cells(&mut to, FOCUS_COLUMNS.iter().map(|&column| column.to_owned()))?;
            let mut lines = 0_u64;
            for call in load(store, period)? {
                write_cells(&mut to, focus(&call)?)?;
                lines = lines.saturating_add(1);
            }
            Ok(lines)
        }
    }
}

fn write_cells(to: &mut impl Write, cells: impl IntoIterator<Item = String>) -> io::Result<()> {
    let cells: Vec<String> = cells.into_iter().map(|cell| csv_cell(&cell)).collect();
    write!(to, "{}\r\n", cells.join(","))
}

fn each_entry(
    store: &Sqlite,
    period: Period,
    mut write: impl FnMut(&EntryRow) -> Result<(), ExportError>,
) -> Result<u64, ExportError> {
    let query = "SELECT entries.id, at_ms, kind, hex(reservation), hold, release, spend, refund, \
                 (SELECT group_concat(label, char(10)) FROM (SELECT label FROM charges JOIN accounts ON accounts.id = account \
                  WHERE charges.charge_set = entries.charge_set ORDER BY place)) \
                 FROM entries WHERE at_ms >= ?1 AND at_ms < ?2 ORDER BY entries.id";
    let stored = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
    let mut statement = store.connection().prepare(query).map_err(StoreError::from)?;
    let mut rows =
        statement.query(params![stored(period.from_ms), stored(period.until_ms)]).map_err(StoreError::from)?;
    let mut lines = 0_u64;
    while let Some(row) = rows.next().map_err(StoreError::from)? {
        write(&entry(row).map_err(StoreError::from)?)?;
        lines = lines.saturating_add(1);
    }
    Ok(lines)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<EntryRow> {
    let amount =
        |place| row.get::<_, i64>(place).map(|amount| Usd(Nanodollars::new(u64::try_from(amount).unwrap_or(0))));
    let labels: Option<String> = row.get(8)?;
    Ok(EntryRow {
        id: row.get(0)?,
        at: time(u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0)),
        kind: EntryKind::ALL.get(row.get::<_, usize>(2)?).map_or("unknown", |kind| kind.as_str()),
        reservation: row.get(3)?,
        held_usd: amount(4)?,
        released_usd: amount(5)?,
        spent_usd: amount(6)?,
        refunded_usd: amount(7)?,
        accounts: labels.map(|labels| labels.split('\n').map(str::to_owned).collect()).unwrap_or_default(),
    })
}

const ENTRY_COLUMNS: [&str; 9] =
    ["id", "at", "kind", "reservation", "held_usd", "released_usd", "spent_usd", "refunded_usd", "accounts"];

fn entry_cells(entry: &EntryRow) -> [String; 9] {
    let amount = |amount: Usd| amount.0.to_decimal();
    [
        entry.id.to_string(),
        entry.at.clone(),
        entry.kind.to_owned(),
        entry.reservation.clone(),
        amount(entry.held_usd),
        amount(entry.released_usd),
        amount(entry.spent_usd),
        amount(entry.refunded_usd),
        entry.accounts.join("; "),
    ]
}

fn time(ms: u64) -> String {
    let moment = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    moment.map_or_else(String::new, |moment| moment.to_string())
}

const FOCUS_COLUMNS: [&str; 25] = [
    "BilledCost",
    "EffectiveCost",
    "ListCost",
    "BillingCurrency",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ChargeCategory",
    "ConsumedQuantity",
    "ConsumedUnit",
    "PricingQuantity",
    "PricingUnit",
    "ListUnitPrice",
    "SkuId",
    "SkuMeter",
    "ServiceCategory",
    "ServiceName",
    "ProviderName",
    "ResourceId",
    "SubAccountId",
    "Tags",
    "x_RunId",
    "x_WorkItemId",
    "x_TaskType",
    "x_PolicyVersion",
    "x_AttemptCount",
];

/// One call as a charge. A call has several rates, so it has no single list unit price; which policies let it go is in the
/// decision records, not in the ledger.
fn focus(call: &Call) -> Result<[String; 25], serde_json::Error> {
    let cost = call.cost.to_decimal();
    let tokens = call.usage.and_then(|usage| usage.input()?.checked_add(usage.output));
    let quantity = tokens.map_or_else(String::new, |tokens| tokens.to_string());
    let unit = || tokens.map_or_else(String::new, |_| "Tokens".to_owned());
    let tags = serde_json::json!({
        "stage": call.stage, "tier": call.tier, "task": call.task, "status": call.status.as_str(), "estimated": call.estimated,
    });
    let known = |text: &Option<String>| text.clone().unwrap_or_default();
    Ok([
        cost.clone(),
        cost.clone(),
        cost,
        "USD".to_owned(),
        time(call.started_ms),
        time(call.started_ms.saturating_add(call.duration_ms)),
        "Usage".to_owned(),
        quantity.clone(),
        unit(),
        quantity,
        unit(),
        String::new(),
        known(&call.model),
        "Model tokens".to_owned(),
        "AI and Machine Learning".to_owned(),
        known(&call.model),
        String::new(),
        known(&call.trace_id),
        known(&call.user),
        serde_json::to_string(&tags)?,
        call.run.clone(),
        known(&call.work_item),
        known(&call.task_type),
        String::new(),
        call.attempt.map_or_else(String::new, |attempt| attempt.to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::{Budget, Budgets, Dimension, Request, ReservationId, Settlement};
    use crate::{DATABASE, Ledger, Options};
    use tollgate_core::{ScopeKind, Usage};

    fn exported(format: ExportFormat) -> String {
        let folder = tempfile::tempdir().unwrap();
        let budgets = Budgets::new(vec![Budget::each(ScopeKind::Run, Nanodollars::from_dollars(5).unwrap())]).unwrap();
        let ledger = Ledger::open(folder.path(), budgets, Options::default(), 0).unwrap();
        let path = ledger.path(&[(Dimension::Scope(ScopeKind::Run), "r, 1")]).unwrap();
        let id = ReservationId(1);
        let amount = Nanodollars::from_dollars(1).unwrap();
        ledger.reserve(&Request { id, path: &path, amount, expires_ms: 9 }, 0).unwrap();
        let usage = Usage { uncached_input: 3, output: 4, ..Usage::default() };
        let call = Call {
            reservation: id.0.to_be_bytes(),
            run: "r, 1".into(),
            model: Some("m".into()),
            usage: Some(usage),
            cost: amount,
            ..Call::default()
        };
        ledger.post(id, Settlement::exact(amount), Some(call), 1_000).unwrap().wait().unwrap();
        drop(ledger);
        let mut bytes = Vec::new();
        export(&Sqlite::open(&folder.path().join(DATABASE)).unwrap(), format, Period::default(), &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn entries_are_lines_of_json() {
        let text = exported(ExportFormat::JsonLines);
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[1]["kind"], &lines[1]["spent_usd"]), (&"post".into(), &serde_json::json!(1.0)));
        assert_eq!(lines[1]["accounts"], serde_json::json!(["run run=r, 1"]));
        assert_eq!(lines[1]["at"], "1970-01-01T00:00:01Z");
    }

    #[test]
    fn entries_are_rows_of_csv() {
        let text = exported(ExportFormat::Csv);
        let expected = "2,1970-01-01T00:00:01Z,post,00000000000000000000000000000001,0.000000000,1.000000000,1.000000000,0.000000000,\"run run=r, 1\"";
        assert_eq!(text.lines().nth(2), Some(expected));
    }

    #[test]
    fn calls_are_charges_of_focus() {
        let text = exported(ExportFormat::Focus);
        let mut lines = text.lines();
        assert!(
            lines.next().unwrap().starts_with("BilledCost,EffectiveCost,ListCost,BillingCurrency,ChargePeriodStart,")
        );
        let row = lines.next().unwrap();
        assert!(row.starts_with("1.000000000,1.000000000,1.000000000,USD,1970-01-01T00:00:00Z,1970-01-01T00:00:00Z,Usage,7,Tokens,7,Tokens,,m,"), "{row}");
        assert!(row.contains(",\"r, 1\","));
    }
}
