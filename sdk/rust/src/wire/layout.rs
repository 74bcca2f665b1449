//! Lists of the contract that are this crate's types byte for byte, so that they are not copied on the way in.

#![expect(unsafe_code, reason = "one type is read as another of the same layout")]

use std::mem::ManuallyDrop;

/// A type of the contract whose every value is a value of `T`, byte for byte.
///
/// # Safety
/// Size, alignment, the place of every field and the number of every word are the same.
pub(super) unsafe trait LaidOutAs<T> {}

/// The list itself, under the other type.
pub(super) fn recast<From: LaidOutAs<To>, To>(list: Vec<From>) -> Vec<To> {
    let mut list = ManuallyDrop::new(list);
    // SAFETY: the allocation and its elements stay as they are, and `LaidOutAs` says that they are of both types.
    unsafe { Vec::from_raw_parts(list.as_mut_ptr().cast(), list.len(), list.capacity()) }
}

/// Proves while it compiles that two enumerations have the same words under the same numbers.
macro_rules! same_words {
    ($($from:path = $to:path { $($word:ident),+ })+) => {$(
        const _: () = {
            assert!(size_of::<$from>() == size_of::<$to>());
            $(assert!(<$from>::$word as u8 == <$to>::$word as u8);)+
        };
    )+};
}
pub(super) use same_words;

/// Proves while it compiles that two records lie in memory alike; words are `same_words!`'s to prove.
macro_rules! same_layout {
    ($($from:path = $to:path { $($field:ident),+ })+) => {$(
        const _: () = {
            assert!(size_of::<$from>() == size_of::<$to>());
            assert!(align_of::<$from>() == align_of::<$to>());
            $(assert!(offset_of!($from, $field) == offset_of!($to, $field));)+
            // Names every field of both, or does not compile.
            let _ = |from: $from, to: $to| {
                let $from { $($field: _),+ } = from;
                let $to { $($field: _),+ } = to;
            };
        };

        #[expect(unsafe_code, reason = "proved above")]
        // SAFETY: proved above.
        unsafe impl super::layout::LaidOutAs<$to> for $from {}
    )+};
}
pub(super) use same_layout;
