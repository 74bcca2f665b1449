//! The table that ships: which tier a task type needs, and why. A change here is a change of what everyone's
//! work costs, so it is made in review, row by row, with its reason.

use tollgate_sdk::Tier;

/// A task type, the tier it needs, and why.
pub const TABLE: &[(&str, Tier, &str)] = &[
    ("boilerplate", Tier::Low, "follows a pattern that is already in the context; a compiler checks the result"),
    ("refactoring", Tier::Low, "behaviour stays as it is, and the tests that prove it are there"),
    ("test-generation", Tier::Low, "a wrong test fails at once, and trying again is cheap"),
    ("documentation", Tier::Low, "says what the code already says; a reader notices a mistake"),
    ("specification", Tier::Middle, "has to be complete, but is read and corrected before anything is built on it"),
    ("test-plan", Tier::Middle, "needs the whole specification in view, and is reviewed"),
    ("architecture", Tier::Premium, "every later task pays for a mistake"),
    ("security", Tier::Premium, "a mistake is not noticed until someone else finds it"),
    ("novel-integration", Tier::Premium, "there is no pattern to follow"),
    ("root-cause", Tier::Premium, "a wrong diagnosis costs more attempts than the model does"),
];

/// What nobody has classified may be anything, and a wrong cheap answer costs more than a dear right one. It
/// is also the dear choice that is noticed, so that someone classifies it.
pub const UNKNOWN: Tier = Tier::Premium;

/// A verifier read the work and sent it back: a cheaper second opinion has already failed.
pub const REJECTED: Tier = Tier::Premium;
