//! The heap of a module that asks for one: memory inside its image, handed out first fit. An image without the wish does not link this.
//!
//! The final crate of an image has a [`Heap`] as its global allocator. Its memory is zero as loaded, so it adds no bytes to a program;
//! where an image's pages are measured, its pages are.
//!
//! 1. A request that finds no room is refused, as Rust's own allocators do: `try_reserve` says so, everything else panics. A panic ends
//!    the module.
//! 2. Nobody waits: an image is entered by one thread at a time. A second one ends the module.
//! 3. What is given back is not wiped. Who keeps a secret wipes it himself; all of the memory goes with the module.
#![no_std]

#[cfg(test)]
mod tests;

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicBool, Ordering};
use linked_list_allocator::Heap as List;

/// A heap of `BYTES` bytes. It must not move once it is used: it is a `static`.
#[expect(missing_debug_implementations, reason = "a heap does not show what is in it")]
pub struct Heap<const BYTES: usize> {
    /// Somebody works on the list.
    busy: AtomicBool,
    /// The last request found no room.
    refused: AtomicBool,
    /// What is free; without memory until the first request.
    list: UnsafeCell<List>,
    memory: UnsafeCell<Memory<BYTES>>,
}

/// Aligned as the list wants it, so that nothing is lost in front.
#[repr(align(16))]
struct Memory<const BYTES: usize>([u8; BYTES]);

// SAFETY: list and memory are only touched by who has set `busy`; what is handed out of the memory has no other owner.
unsafe impl<const BYTES: usize> Sync for Heap<BYTES> {}

impl<const BYTES: usize> Heap<BYTES> {
    /// A heap of which nothing was handed out.
    #[expect(clippy::new_without_default, reason = "only the final crate of an image makes one, in a constant")]
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(BYTES >= 1024, "a heap has room for its own list") };
        Self {
            busy: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            list: UnsafeCell::new(List::empty()),
            memory: UnsafeCell::new(Memory([0; BYTES])),
        }
    }

    /// Ends the module by a breakpoint if the last request found no room: whoever runs the image can then say so. Else, and where the
    /// processor has no such instruction, it does nothing. For the panic handler of an image, which ends the module anyway.
    pub fn end_if_exhausted(&self) {
        #[cfg(target_arch = "x86_64")]
        if self.refused.load(Ordering::Relaxed) {
            // SAFETY: the first instruction ends the module; the second does where a host goes on behind the first.
            unsafe { core::arch::asm!("int3", "ud2", options(noreturn)) };
        }
    }

    /// Works on the list, alone.
    fn alone<T>(&self, work: impl FnOnce(&mut List) -> T) -> T {
        assert!(!self.busy.swap(true, Ordering::Acquire), "two threads in one image");
        // SAFETY: `busy` was free, so nobody else holds a reference.
        let list = unsafe { &mut *self.list.get() };
        if list.bottom().is_null() {
            // SAFETY: the list is empty, and given memory once; the memory is this value's, which is a `static`, and nobody but the
            // list touches it from now on.
            unsafe { list.init(self.memory.get().cast(), BYTES) };
        }
        let done = work(list);
        self.busy.store(false, Ordering::Release);
        done
    }
}

// SAFETY: the list hands out disjoint parts of its memory with the size and alignment that were asked for, and knows them again by the same
// layout. Nothing unwinds: in an image a panic ends the module.
unsafe impl<const BYTES: usize> GlobalAlloc for Heap<BYTES> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let place = self.alone(|list| list.allocate_first_fit(layout));
        self.refused.store(place.is_err(), Ordering::Relaxed);
        place.map_or(null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        if let Some(place) = NonNull::new(place) {
            // SAFETY: the caller gives back what he was given, with its layout.
            self.alone(|list| unsafe { list.deallocate(place, layout) });
        }
    }
}
