//! Returns a string that is not UTF-8.

use plain_policy::{Description, Guest, description};

struct NotUtf8;

impl Guest for NotUtf8 {
    fn describe() -> Description {
        // SAFETY: there is none: the string is wrong on purpose, and nothing in the guest looks at it before its
        // bytes leave.
        let summary = unsafe { String::from_utf8_unchecked(vec![0xff; 16]) };
        Description { summary, ..description() }
    }
}

plain_policy::export!(NotUtf8 as budget);
