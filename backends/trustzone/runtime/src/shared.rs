//! Memory that somebody else may change at any time.

/// A range of memory that the core has mapped for one entry, and that the normal world can read and write meanwhile.
///
/// Having one proves that the range is mapped, is not this application's own, and may be accessed as its kind of parameter
/// says. It proves nothing of what is in it: bytes are copied in, each once, and checked there.
#[derive(Debug)]
pub struct Shared {
    start: *mut u8,
    length: usize,
}

impl Shared {
    /// Claims a range.
    ///
    /// # Safety
    /// 1. The range is mapped, readable, and for memory that is written also writable, as long as the value lives.
    /// 2. No reference points into it.
    #[must_use]
    pub const unsafe fn claim(start: *mut u8, length: usize) -> Self {
        Self { start, length }
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length
    }

    /// Whether a byte of both is the same.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let (start, other_start) = (self.start.addr(), other.start.addr());
        start < other_start.saturating_add(other.length) && other_start < start.saturating_add(self.length)
    }

    /// Copies bytes out of the range, each once. `None` when they are not all inside.
    #[must_use]
    pub fn copy_in(&self, at: usize, to: &mut [u8]) -> Option<()> {
        self.check(at, to.len())?;
        // SAFETY: the range was checked above; duties 1 and 2 of `claim`.
        unsafe { core::ptr::copy_nonoverlapping(self.start.add(at), to.as_mut_ptr(), to.len()) };
        settle(to.as_ptr());
        Some(())
    }

    /// Copies bytes into the range. `None` when they do not all fit.
    #[must_use]
    pub fn copy_out(&self, at: usize, from: &[u8]) -> Option<()> {
        self.check(at, from.len())?;
        settle(from.as_ptr());
        // SAFETY: the range was checked above; duties 1 and 2 of `claim`.
        unsafe { core::ptr::copy_nonoverlapping(from.as_ptr(), self.start.add(at), from.len()) };
        Some(())
    }

    fn check(&self, at: usize, length: usize) -> Option<()> {
        (at.checked_add(length)? <= self.length).then_some(())
    }
}

/// Makes a copy one: the compiler must believe that the memory behind `place` may have changed here, so it can read nothing of
/// it from where it was copied from, and leaves no copy out.
fn settle(place: *const u8) {
    // SAFETY: no instruction at all.
    unsafe { core::arch::asm!("/* {0} */", in(reg) place, options(nostack, preserves_flags)) };
}
