//! Picking memory: first fit. Which places are taken is the node's to know; it remembers them.

use core::ops::Range;

/// The free parts of a range, in order.
fn gaps<'a>(range: &Range<u32>, taken: &'a [Range<u32>]) -> impl Iterator<Item = Range<u32>> + use<'a> {
    let mut taken: Vec<&'a Range<u32>> = taken.iter().filter(|taken| !taken.is_empty()).collect();
    taken.sort_by_key(|taken| taken.start);
    let (mut from, end) = (range.start.next_multiple_of(2), range.end);
    let mut taken = taken.into_iter();
    let mut ended = false;
    core::iter::from_fn(move || {
        if ended {
            return None;
        }
        let Some(next) = taken.next() else {
            ended = true;
            return Some(from..end);
        };
        let gap = from..next.start.min(end);
        from = from.max(next.end.next_multiple_of(2));
        Some(gap)
    })
    .filter(|gap| gap.start < gap.end)
}

/// The lowest even address with so many bytes free.
pub(crate) fn first_fit(range: &Range<u32>, taken: &[Range<u32>], bytes: u16) -> Option<u16> {
    let gap = gaps(range, taken).find(|gap| gap.end - gap.start >= u32::from(bytes))?;
    u16::try_from(gap.start).ok()
}

/// How many bytes one reservation can have.
pub(crate) fn largest(range: &Range<u32>, taken: &[Range<u32>]) -> u16 {
    let largest = gaps(range, taken).map(|gap| gap.end - gap.start).max().unwrap_or(0);
    u16::try_from(largest).unwrap_or(u16::MAX) & !1
}
