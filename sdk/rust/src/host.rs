//! The functions a policy may ask of its host: the contract's only import in a guest, a table of this thread
//! natively ([`crate::test::host`]).

use crate::{Reference, ReferenceKind};

#[cfg(not(target_family = "wasm"))]
use crate::test::ambient as backend;
#[cfg(target_family = "wasm")]
use crate::wire::host as backend;

pub(crate) use backend::{intern, models, names, number, resolve, tag};

/// Something without bound that this dispatch belongs to, while a policy is evaluated; nothing where the
/// dispatch belongs to none. A call to the host.
///
/// ```
/// use tollgate_sdk::{ReferenceKind, identity, test};
///
/// /// One run in ten.
/// fn is_canary() -> bool {
///     identity(ReferenceKind::Sample).is_some_and(|sample| sample.as_u64() % 10 == 0)
/// }
///
/// let _host = test::host().identity(ReferenceKind::Sample, 20).install();
/// assert!(is_canary());
/// ```
#[must_use]
pub fn identity(kind: ReferenceKind) -> Option<Reference> {
    backend::identity(kind)
}
