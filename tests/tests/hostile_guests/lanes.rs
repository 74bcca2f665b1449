//! Guests that lend their facts badly: they are called through the component, or harm nobody.

use tollgate_tests::{Chain, PolicyEntry, dispatch};

/// It loads and serves through the component, for the stated reason.
pub(crate) fn is_canonical(guest: &str, why: &str) {
    let host = Chain::new().policy(&PolicyEntry::guest(guest)).host().expect("through the component, it behaves");
    let lane = host.policies().first().expect("one policy").lane.to_string();
    assert!(lane.starts_with("canonical ABI (") && lane.contains(why), "{lane:?} does not say {why:?}");
    assert_eq!(host.decide(&dispatch(&host)).outcome.word(), "proceed");
}

/// It lends, and says the same on both lanes, again and again.
pub(crate) fn agree(guest: &str) {
    let lent = Chain::new().policy(&PolicyEntry::guest(guest)).host().expect("it behaves");
    let canonical = Chain::new().policy(&PolicyEntry::guest(guest).key("lane = \"canonical\"")).host();
    let canonical = canonical.expect("it behaves");
    assert_eq!(lent.policies().first().expect("one policy").lane.to_string(), "lent facts");
    for _ in 0..3 {
        let verdict =
            |host: &tollgate_runtime::Host| host.decide(&dispatch(host)).trail.first().map(|entry| entry.verdict);
        assert_eq!(verdict(&lent), verdict(&canonical));
    }
}
