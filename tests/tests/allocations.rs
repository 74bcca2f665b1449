//! A decision that proceeds allocates nothing in the host: a counting allocator, and the decision that every bench
//! measures.

#![expect(unsafe_code, reason = "an allocator is unsafe to implement; this one only counts and passes on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use tollgate_core::Outcome;
use tollgate_runtime::Host;
use tollgate_runtime::control::{MeasuredDecision, measured_configuration};
use tollgate_tests::plugins_folder;

thread_local! {
    /// Of this thread alone: the host's own threads have their work, and other tests theirs.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

#[test]
fn a_decision_that_proceeds_allocates_nothing() {
    let host =
        Host::builder().plugin_folder(plugins_folder()).build(&measured_configuration()).expect("what ships loads");
    // Makes the instances and fills what is used again.
    let measured = MeasuredDecision::prepare(&host).expect("the host makes the measured decision");
    let mut proceeded = 0;
    let allocated = allocations(|| {
        for dispatch in measured.dispatches() {
            let decision = host.decide(dispatch);
            proceeded += usize::from(matches!(decision.outcome, Outcome::Proceed(_)) && decision.trail.len() == 4);
        }
    });
    assert_eq!(proceeded, measured.dispatches().len());
    // One in ten thousand is looked at again by another thread, which needs a copy; a thousand meet it once at most.
    assert!(allocated <= 16, "{allocated} allocations in {proceeded} decisions");
    let quiet = allocations(|| {
        let decision = measured.dispatches().first().map(|dispatch| host.decide(dispatch));
        assert!(decision.is_some());
    });
    assert_eq!(quiet, 0);
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
    assert_eq!(allocations(|| ()), 0);
}
