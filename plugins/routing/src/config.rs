//! What routing can be told. Everything has a default, and the table that ships is in `table.rs`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_sdk::Tier;

use crate::table::{REJECTED, TABLE, UNKNOWN};

/// The configuration of routing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The whole table, in place of the one that ships.
    pub table: Vec<Row>,
    /// Rows beside the table; one whose task type stands in the table takes that row's place.
    pub more: Vec<Row>,
    /// The tier of a task type that no row matches, and of a dispatch without one.
    pub unknown: Tier,
    /// The least tier of work that a verifier has rejected.
    pub rejected: Tier,
    /// What the model that the caller named is worth.
    pub requested_model: RequestedModel,
    /// What happens where nothing of the wanted tier can be had or paid.
    pub below_wanted: BelowWanted,
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The task type; `*` stands for any characters.
    #[schemars(length(min = 1))]
    pub task_type: String,
    /// The tier it needs.
    pub tier: Tier,
    /// Why, for whoever reads the table.
    #[schemars(length(min = 1))]
    pub reason: String,
}

/// What the model that the caller named is worth. Most clients cannot help naming one, so by itself it
/// says little.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RequestedModel {
    /// Nothing.
    Ignore,
    /// It decides between candidates that are otherwise equal.
    TieBreak,
    /// It is taken, if it is at or above the floor, healthy and affordable.
    Honour,
}

/// What happens where nothing of the wanted tier can be had or paid. A tier that a gate asked for is never gone below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BelowWanted {
    /// The next lower tier takes it, down to the floor.
    Allow,
    /// It is refused.
    Refuse,
}

/// A weaker model that a verifier may still send back is better than an agent that stands still.
impl Default for Config {
    fn default() -> Self {
        let row = |(task_type, tier, reason): &(&str, Tier, &str)| Row {
            task_type: (*task_type).to_owned(),
            tier: *tier,
            reason: (*reason).to_owned(),
        };
        Self {
            table: TABLE.iter().map(row).collect(),
            more: Vec::new(),
            unknown: UNKNOWN,
            rejected: REJECTED,
            requested_model: RequestedModel::TieBreak,
            below_wanted: BelowWanted::Allow,
        }
    }
}
