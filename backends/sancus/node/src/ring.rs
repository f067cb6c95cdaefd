//! Which outputs in a board's ring may go. A release frees all up to a number, of all modules: so it waits for the oldest
//! one that anybody still needs.

use std::collections::BTreeMap;

/// Outputs that were fetched and that the board still keeps.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    /// By number: length in bytes, and whether it may go.
    outputs: BTreeMap<u32, (usize, bool)>,
    /// Up to here they may go, and the board was not told yet; so many bytes.
    free: Option<u32>,
    free_bytes: usize,
}

impl Ring {
    /// An output was fetched. `needed`: somebody has to release it.
    pub(crate) fn fetched(&mut self, output: u32, length: usize, needed: bool) {
        self.outputs.insert(output, (length, !needed));
        self.settle();
    }

    /// An output is not needed any more.
    pub(crate) fn release(&mut self, output: u32) {
        if let Some((_, free)) = self.outputs.get_mut(&output) {
            *free = true;
        }
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(first) = self.outputs.first_entry()
            && first.get().1
        {
            self.free = Some(*first.key());
            self.free_bytes += first.get().0;
            first.remove();
        }
    }

    /// Up to where the board may forget.
    pub(crate) const fn releasable(&self) -> Option<u32> {
        self.free
    }

    /// Bytes of what the board may forget.
    pub(crate) const fn releasable_bytes(&self) -> usize {
        self.free_bytes
    }

    /// The board was told.
    pub(crate) fn released(&mut self, output: u32) {
        if self.free == Some(output) {
            self.free = None;
            self.free_bytes = 0;
        }
    }
}
