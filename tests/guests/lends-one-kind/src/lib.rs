//! Is of two kinds and lends for one.

use plain_policy::Guest;

struct LendsOneKind;

impl Guest for LendsOneKind {}

plain_policy::export!(only the component of LendsOneKind as budget, kill_switch);
plain_policy::lend!(LendsOneKind budget);
