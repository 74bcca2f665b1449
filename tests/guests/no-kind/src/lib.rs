//! Is a plugin, and a policy of no kind.

use plain_policy::Guest;

struct NoKind;

impl Guest for NoKind {}

plain_policy::export!(NoKind as);
