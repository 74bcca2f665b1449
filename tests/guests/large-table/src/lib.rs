//! Declares a larger table than a guest may have.

use plain_policy::Guest;

struct LargeTable;

impl Guest for LargeTable {}

plain_policy::export!(LargeTable as budget);
