//! A budget as a configuration writes it: words and amounts, before they are checked against each other.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::{Budget, BudgetProblem, Dimension, Pattern, THRESHOLDS_PERMILLE, default_hard};
use crate::window::Window;
use crate::{Nanodollars, ScopeKind};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BudgetForm {
    name: Option<String>,
    /// `scope = "run"` is short for `for = { run = "*" }`.
    scope: Option<ScopeKind>,
    #[serde(rename = "for")]
    selector: Option<BTreeMap<Dimension, Pattern>>,
    // An amount is text and names its currency: a bare `5` would be five nanodollars.
    #[serde(deserialize_with = "written_amount")]
    limit: String,
    #[serde(default, deserialize_with = "written_optional_amount")]
    hard: Option<String>,
    #[serde(default = "total")]
    window: String,
    time_zone: Option<String>,
    thresholds: Option<Vec<String>>,
    #[serde(default, deserialize_with = "written_optional_amount")]
    carry_over: Option<String>,
    owner: Option<String>,
}

fn total() -> String {
    "total".to_owned()
}

impl TryFrom<BudgetForm> for Budget {
    type Error = BudgetProblem;

    fn try_from(form: BudgetForm) -> Result<Self, BudgetProblem> {
        let selector: Vec<(Dimension, Pattern)> = match (form.scope, form.selector) {
            // With `name` it once meant "only the scope of that name".
            (Some(kind), None) if form.name.is_none() => vec![(Dimension::Scope(kind), Pattern::each())],
            (None, Some(selector)) => selector.into_iter().collect(),
            _ => return Err(BudgetProblem::For),
        };
        selector.iter().try_for_each(|(_, pattern)| pattern.check())?;
        let limit = amount("limit", &form.limit)?;
        let budget = Self {
            name: form.name.unwrap_or_else(|| name_of(&selector)).into(),
            selector,
            limit,
            hard: form.hard.map_or_else(|| Ok(default_hard(limit)), |hard| amount("hard", &hard))?,
            window: Window::parse(&form.window, form.time_zone.as_deref())?,
            thresholds: match form.thresholds {
                Some(thresholds) => thresholds.iter().map(|text| permille(text)).collect::<Result<_, _>>()?,
                None => THRESHOLDS_PERMILLE.to_vec(),
            },
            carry_over: form
                .carry_over
                .map_or(Ok(Nanodollars::ZERO), |amount_text| amount("carry_over", &amount_text))?,
            owner: form.owner.map(Into::into),
        };
        budget.check()?;
        Ok(budget)
    }
}

fn written_amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Written;
    impl serde::de::Visitor<'_> for Written {
        type Value = String;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an amount of money such as \"25.00 USD\"")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }
    }
    deserializer.deserialize_str(Written)
}

fn written_optional_amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    written_amount(deserializer).map(Some)
}

fn amount(key: &'static str, text: &str) -> Result<Nanodollars, BudgetProblem> {
    text.parse().map_err(|problem| BudgetProblem::Amount { key, problem })
}

/// What a budget without a name is called: `run`, `team=blue model=claude-opus-*`.
fn name_of(selector: &[(Dimension, Pattern)]) -> String {
    if selector.is_empty() {
        return "everything".to_owned();
    }
    let part = |(dimension, pattern): &(Dimension, Pattern)| {
        if *pattern == Pattern::each() { dimension.to_string() } else { format!("{dimension}={pattern}") }
    };
    selector.iter().map(part).collect::<Vec<_>>().join(" ")
}

/// `80%`, `99.5%`: at most one digit behind the point.
fn permille(text: &str) -> Result<u32, BudgetProblem> {
    let wrong = || BudgetProblem::Threshold(text.to_owned());
    let number = text.strip_suffix('%').ok_or_else(wrong)?;
    let (percent, tenth) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(percent) || !digits(tenth) || tenth.len() != 1 {
        return Err(wrong());
    }
    let tenth: u32 = tenth.parse().map_err(|_| wrong())?;
    let percent: u32 = percent.parse().map_err(|_| wrong())?;
    percent.checked_mul(10).and_then(|permille| permille.checked_add(tenth)).ok_or_else(wrong)
}
