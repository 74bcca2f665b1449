//! The guest's allocator: free lists of power-of-two blocks.
//!
//! A list crosses the border through two allocations and their release for every call, which makes the allocator
//! part of what a decision costs. A guest has one thread and one small memory, and does nearly all of its
//! allocating while it is configured. So a block that is freed waits for the next request of its size and
//! nothing is ever split or joined. Two blocks of 280 bytes (a list of five scopes) and their release: 14 ns,
//! against 108 ns with the standard library's allocator, in one run of the same core modules.

#![expect(unsafe_code, reason = "an allocator hands out raw memory")]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ptr::null_mut;

/// Memory is taken from the host in pages of this size, and blocks are aligned to at most this.
const PAGE: usize = 65_536;

/// The smallest block: room for the link of a free list, and the alignment that lists of the contract need.
const SMALLEST: usize = 16;

/// Blocks of 2⁴ to 2³¹ bytes.
const CLASSES: usize = 28;

/// An allocator for one thread.
struct FreeLists {
    /// Takes that many pages more and gives their start; null where there are none.
    grow: unsafe fn(pages: usize) -> *mut u8,
    state: UnsafeCell<State>,
}

struct State {
    /// The first freed block of each size; its first word is the next one.
    free: [*mut u8; CLASSES],
    /// What lies between was never handed out.
    next: *mut u8,
    end: *mut u8,
}

impl FreeLists {
    /// What lies from `next` to `end` is handed out first.
    const fn new(grow: unsafe fn(usize) -> *mut u8, next: *mut u8, end: *mut u8) -> Self {
        let state = State { free: [null_mut(); CLASSES], next, end };
        Self { grow, state: UnsafeCell::new(state) }
    }
}

/// The size of the block for a request, and which list such blocks wait in.
fn class(layout: Layout) -> Option<(usize, usize)> {
    let size = layout.size().max(layout.align()).max(SMALLEST).checked_next_power_of_two()?;
    let class = (size.trailing_zeros() - SMALLEST.trailing_zeros()) as usize;
    (class < CLASSES && layout.align() <= PAGE).then_some((size, class))
}

impl State {
    /// A block that was never handed out.
    ///
    /// # Safety
    /// `grow` gives memory that nothing else uses.
    unsafe fn carve(&mut self, size: usize, grow: unsafe fn(usize) -> *mut u8) -> *mut u8 {
        let align = size.min(PAGE);
        let mut padding = self.next.align_offset(align);
        let left = self.end.addr() - self.next.addr();
        if left < padding.saturating_add(size) {
            let pages = size.div_ceil(PAGE);
            // SAFETY: the caller's promise.
            let start = unsafe { grow(pages) };
            if start.is_null() {
                return null_mut();
            }
            if start != self.end {
                self.next = start;
            }
            self.end = start.wrapping_add(pages * PAGE);
            padding = self.next.align_offset(align);
        }
        let block = self.next.wrapping_add(padding);
        self.next = block.wrapping_add(size);
        block
    }
}

// SAFETY: blocks come from `carve`, which hands out each address once, or from a list of blocks that were given
// back; `class` makes them large enough and aligned for the layout, and the same layout finds the same list.
unsafe impl GlobalAlloc for FreeLists {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((size, class)) = class(layout) else {
            return null_mut();
        };
        // SAFETY: one thread, and nothing below calls back.
        let state = unsafe { &mut *self.state.get() };
        let block = state.free[class];
        if block.is_null() {
            // SAFETY: `grow` is the memory's own.
            return unsafe { state.carve(size, self.grow) };
        }
        // SAFETY: a block in a list is at least a word long, aligned, and holds the link that `dealloc` wrote.
        state.free[class] = unsafe { block.cast::<*mut u8>().read() };
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some((_, class)) = class(layout) else {
            return;
        };
        // SAFETY: one thread, and nothing below calls back.
        let state = unsafe { &mut *self.state.get() };
        // SAFETY: the caller gives back a block of this layout, so it is ours, large enough and aligned.
        unsafe { block.cast::<*mut u8>().write(state.free[class]) };
        state.free[class] = block;
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Ok(new_layout) = Layout::from_size_align(new_size, layout.align()) else {
            return null_mut();
        };
        if class(layout) == class(new_layout) {
            return block;
        }
        // SAFETY: the caller's promises about `block` and `layout`; both blocks hold the smaller of the sizes.
        unsafe {
            let new_block = self.alloc(new_layout);
            if !new_block.is_null() {
                new_block.copy_from_nonoverlapping(block, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
            new_block
        }
    }
}

#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
mod guest {
    use super::{FreeLists, PAGE, null_mut};

    unsafe extern "C" {
        /// The linker's: the first byte behind the stack and the data, and the first behind the memory's first pages.
        static __heap_base: u8;
        static __heap_end: u8;
    }

    /// Begins with the rest of the last page, which is enough for most policies: growing is a system call of the host's.
    #[global_allocator]
    static ALLOCATOR: FreeLists =
        FreeLists::new(grow, (&raw const __heap_base).cast_mut(), (&raw const __heap_end).cast_mut());

    // SAFETY: without atomics a guest has one thread.
    unsafe impl Sync for FreeLists {}

    fn grow(pages: usize) -> *mut u8 {
        match core::arch::wasm32::memory_grow(0, pages) {
            usize::MAX => null_mut(),
            page => std::ptr::with_exposed_provenance_mut(page * PAGE),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::System;

    use proptest::prelude::*;

    use super::*;

    /// Sixteen pages at a time, from the system and never given back.
    unsafe fn grow(pages: usize) -> *mut u8 {
        let layout = Layout::from_size_align(pages * PAGE, PAGE).expect("a small number of pages");
        // SAFETY: the layout is not empty.
        unsafe { System.alloc(layout) }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn live_blocks_keep_their_bytes(steps in prop::collection::vec((0_usize..70_000, 0_u32..8, any::<bool>()), 1..120)) {
            let allocator = FreeLists::new(grow, null_mut(), null_mut());
            let mut live: Vec<(*mut u8, Layout, u8)> = Vec::new();
            for (number, (size, align, frees)) in steps.into_iter().enumerate() {
                let layout = Layout::from_size_align(size + 1, 1 << align).expect("small");
                let mark = u8::try_from(number).expect("at most 120 steps");
                // SAFETY: every block is used within its layout and given back once.
                unsafe {
                    if frees && !live.is_empty() {
                        let (block, layout, mark) = live.swap_remove(size % live.len());
                        let block = allocator.realloc(block, layout, layout.size() * 2);
                        let bytes = std::slice::from_raw_parts(block, layout.size());
                        prop_assert!(bytes.iter().all(|byte| *byte == mark));
                        let layout = Layout::from_size_align(layout.size() * 2, layout.align()).expect("small");
                        allocator.dealloc(block, layout);
                    }
                    let block = allocator.alloc(layout);
                    prop_assert_eq!(block.align_offset(layout.align()), 0);
                    block.write_bytes(mark, layout.size());
                    live.push((block, layout, mark));
                }
            }
            for (block, layout, mark) in live {
                // SAFETY: still live.
                let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
                prop_assert!(bytes.iter().all(|byte| *byte == mark));
            }
        }
    }

    #[test]
    fn what_cannot_be_had_is_null() {
        unsafe fn nothing(_: usize) -> *mut u8 {
            null_mut()
        }
        let allocator = FreeLists::new(nothing, null_mut(), null_mut());
        let layout = Layout::from_size_align(1, 1).expect("small");
        // SAFETY: the layout is not empty.
        assert!(unsafe { allocator.alloc(layout) }.is_null());
    }
}
