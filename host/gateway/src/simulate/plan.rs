//! What a simulated answer will be like: by its request's header, or by the seed.

use std::time::Duration;

use tollgate_core::Reference;

use super::Script;

/// A way of failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    RateLimit,
    Overloaded,
    ServerError,
    BadRequest,
    /// Bytes that are not what the format says.
    Garbage,
    /// The connection ends after so many tokens.
    BreakAfter(u64),
    /// Nothing more comes after so many tokens.
    StallAfter(u64),
    /// An error event after so many tokens.
    ErrorAfter(u64),
}

/// What one answer will be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) fault: Option<Fault>,
    /// How long the answer wants to be, in tokens; the request's limit cuts it.
    pub(super) output: u64,
    pub(super) pace: Duration,
    pub(super) tells_usage: bool,
    /// It keeps to the request's limit, as not every server does.
    pub(super) keeps_limit: bool,
    /// The answer's number, from which its id is made.
    pub(super) number: u64,
}

/// The longest answer, in tokens.
const MAX_OUTPUT: u64 = 100_000;

impl Plan {
    /// The plan for a body. The header holds words, separated by commas: `rate-limit`, `overloaded`, `error`, `bad-request`,
    /// `garbage`, `break-after=N`, `stall-after=N`, `error-after=N` (tokens), `no-usage`, `ignore-limit`, `output=N` (tokens), `pace=N` (milliseconds).
    pub(super) fn read(script: &Script, header: Option<&str>, body: &[u8]) -> Result<Self, String> {
        let number = Reference::of(&format!("{} {}", script.seed, String::from_utf8_lossy(body))).as_u64();
        let mut plan = Self {
            fault: (number % 1_000 < u64::from(script.faults_permille)).then(|| chosen_fault(number >> 16)),
            // Most answers of an agent's turn are short.
            output: 16 + (number >> 32) % 240,
            pace: script.pace,
            tells_usage: true,
            keeps_limit: true,
            number,
        };
        for word in
            header.into_iter().flat_map(|header| header.split(',')).map(str::trim).filter(|word| !word.is_empty())
        {
            plan.apply(word)?;
        }
        Ok(plan)
    }

    fn apply(&mut self, word: &str) -> Result<(), String> {
        let (name, number) = match word.split_once('=') {
            Some((name, number)) => {
                (name, Some(number.parse::<u64>().map_err(|_| format!("x-simulate: `{number}` is no whole number"))?))
            }
            None => (word, None),
        };
        match (name, number) {
            ("rate-limit", None) => self.fault = Some(Fault::RateLimit),
            ("overloaded", None) => self.fault = Some(Fault::Overloaded),
            ("error", None) => self.fault = Some(Fault::ServerError),
            ("bad-request", None) => self.fault = Some(Fault::BadRequest),
            ("garbage", None) => self.fault = Some(Fault::Garbage),
            ("break-after", Some(tokens)) => self.fault = Some(Fault::BreakAfter(tokens)),
            ("stall-after", Some(tokens)) => self.fault = Some(Fault::StallAfter(tokens)),
            ("error-after", Some(tokens)) => self.fault = Some(Fault::ErrorAfter(tokens)),
            ("ignore-limit", None) => self.keeps_limit = false,
            ("no-usage", None) => self.tells_usage = false,
            ("output", Some(tokens)) => self.output = tokens.min(MAX_OUTPUT),
            ("pace", Some(milliseconds)) => self.pace = Duration::from_millis(milliseconds),
            _ => return Err(format!("x-simulate: `{word}` is not known")),
        }
        Ok(())
    }
}

fn chosen_fault(number: u64) -> Fault {
    let tokens = (number >> 8) % 16;
    match number % 8 {
        0 => Fault::RateLimit,
        1 => Fault::Overloaded,
        2 => Fault::ServerError,
        3 => Fault::BadRequest,
        4 => Fault::Garbage,
        5 => Fault::BreakAfter(tokens),
        6 => Fault::StallAfter(tokens),
        _ => Fault::ErrorAfter(tokens),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_body_give_the_same_plan() {
        let script = Script { faults_permille: 500, ..Script::default() };
        let plans = |seed| {
            let script = Script { seed, ..script };
            (0..200).map(|body| Plan::read(&script, None, format!("{body}").as_bytes()).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(plans(7), plans(7));
        assert_ne!(plans(7), plans(8));
        let failed = plans(7).iter().filter(|plan| plan.fault.is_some()).count();
        assert!((60..140).contains(&failed), "about half of 200 fail, not {failed}");
    }

    #[test]
    fn a_request_can_ask_for_what_it_gets() {
        let plan = Plan::read(&Script::default(), Some("output=3, no-usage,break-after=2, pace=20"), b"x").unwrap();
        assert_eq!((plan.output, plan.tells_usage, plan.fault), (3, false, Some(Fault::BreakAfter(2))));
        assert_eq!(plan.pace, Duration::from_millis(20));
        for (header, says) in [("explode", "`explode` is not known"), ("output=many", "`many` is no whole number")] {
            assert!(Plan::read(&Script::default(), Some(header), b"x").unwrap_err().contains(says));
        }
    }
}
