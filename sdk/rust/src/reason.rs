//! Why a policy said what it said: a name and two numbers of one unit.

use std::fmt;

use crate::{Nanodollars, Share, Span, Symbol};

/// A number of tokens.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Tokens(
    /// How many.
    pub u64,
);

/// What the two numbers of a reason count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Nothing: the name says it all.
    #[default]
    None,
    /// Things.
    Count,
    /// Money.
    Nanodollars,
    /// Time.
    Milliseconds,
    /// Tokens.
    Tokens,
    /// Thousandths.
    Permille,
}

/// Something that can be compared with a limit in a reason, so that its unit cannot be mistaken.
pub trait Quantity {
    /// What it counts.
    const UNIT: Unit;

    /// How much of it.
    fn amount(self) -> u64;
}

macro_rules! quantities {
    ($($quantity:ty: $unit:ident, |$value:ident| $amount:expr;)+) => {$(
        impl Quantity for $quantity {
            const UNIT: Unit = Unit::$unit;

            fn amount(self) -> u64 {
                let $value = self;
                $amount
            }
        }
    )+};
}

quantities! {
    u32: Count, |count| count.into();
    u64: Count, |count| count;
    Nanodollars: Nanodollars, |money| money.as_u64();
    Span: Milliseconds, |span| span.as_milliseconds();
    Tokens: Tokens, |tokens| tokens.0;
    Share: Permille, |share| share.as_permille().into();
}

/// The name of a reason, made once with [`Setup::reason`](crate::Setup::reason); the numbers come with
/// the dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReasonCode(Symbol);

impl ReasonCode {
    /// A reason that starts from a name of the facts, such as a budget's owner.
    #[must_use]
    pub const fn new(code: Symbol) -> Self {
        Self(code)
    }

    /// It was so much, and may be so much: `run-cost: 14.20 USD of 10.00 USD`.
    #[must_use]
    pub fn exceeded<Q: Quantity>(self, actual: Q, limit: Q) -> Reason {
        Reason { code: self.0, unit: Q::UNIT, actual: actual.amount(), limit: limit.amount() }
    }

    /// The name alone.
    #[must_use]
    pub const fn alone(self) -> Reason {
        Reason { code: self.0, unit: Unit::None, actual: 0, limit: 0 }
    }
}

/// Why: a name and two numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reason {
    /// What was looked at.
    pub code: Symbol,
    /// What the numbers count.
    pub unit: Unit,
    /// What it was.
    pub actual: u64,
    /// What it may be.
    pub limit: u64,
}

/// `run-cost: 14.20 USD of 10.00 USD`
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.code)?;
        match self.unit {
            Unit::None => Ok(()),
            unit => write!(f, ": {} of {}", written(unit, self.actual), written(unit, self.limit)),
        }
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn written(unit: Unit, number: u64) -> String {
    match unit {
        Unit::None => String::new(),
        Unit::Count => number.to_string(),
        Unit::Nanodollars => Nanodollars::new(number).to_string(),
        Unit::Milliseconds => Span::milliseconds(number).to_string(),
        Unit::Tokens => format!("{number} tokens"),
        Unit::Permille => format!("{}.{}%", number / 10, number % 10),
    }
}

/// In the files of a test: `{ "code": "run-cost", "actual": "14.20 USD", "limit": "10.00 USD" }`.
#[cfg(not(target_family = "wasm"))]
impl serde::Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;

        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("code", &self.code)?;
        match self.unit {
            Unit::None => {}
            Unit::Count => {
                map.serialize_entry("actual", &self.actual)?;
                map.serialize_entry("limit", &self.limit)?;
            }
            unit => {
                map.serialize_entry("actual", &written(unit, self.actual))?;
                map.serialize_entry("limit", &written(unit, self.limit))?;
            }
        }
        map.end()
    }
}
