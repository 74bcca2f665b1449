//! Hands the host addresses outside of its memory to write lists to.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

use plain_policy::Guest;

struct AstrayAllocator;

static ASTRAY: AtomicBool = AtomicBool::new(false);

impl Guest for AstrayAllocator {
    fn configure(_: &str) -> Result<(), String> {
        ASTRAY.store(true, Ordering::Relaxed);
        Ok(())
    }
}

#[global_allocator]
static ALLOCATOR: AstrayAllocator = AstrayAllocator;

// SAFETY: there is none once it is astray: the host has to check what it is given.
unsafe impl GlobalAlloc for AstrayAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if ASTRAY.load(Ordering::Relaxed) {
            return std::ptr::without_provenance_mut(0xffff_fff0);
        }
        // SAFETY: the caller's promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if !ASTRAY.load(Ordering::Relaxed) {
            // SAFETY: the caller's promises, and the block came from `System`.
            unsafe { System.dealloc(block, layout) }
        }
    }
}

plain_policy::export!(AstrayAllocator as budget);
