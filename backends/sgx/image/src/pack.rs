//! The enclave's layout: the program's pages, then what it needs to run.
//!
//! ```text
//! program │ gap │ stack │ gap │ calls │ outputs │ gap │ layout page │ TCS │ saved state │ … a power of two
//! ```
//!
//! Stack, rooms and saved state are added without being measured: the enclave writes there before it reads. Gaps are not
//! there at all: what runs over an end faults.

use crate::elf::{Plan, Segment};
use veritee_sgx_format::{Contents, EnclaveLayout, PAGE, Page, PageKind};

const PAGE_BYTES: u64 = PAGE as u64;
/// Pages of the stack.
const STACK_PAGES: u64 = 128;
/// Pages of the rooms for calls and for outputs: the longest call, and the longest output, with their fronts.
const ROOM_PAGES: u64 = 257;
/// Frames of saved state: for the entry, and one more, as the processor wants for exceptions.
const SAVED_PAGES: u64 = 2;

/// Lays an enclave out.
pub(crate) fn lay_out(plan: &Plan<'_>) -> Result<Contents, String> {
    let mut pages = Vec::new();
    for segment in &plan.segments {
        add_segment(&mut pages, segment)?;
    }
    let stack = plan.span + PAGE_BYTES;
    let stack_end = stack + STACK_PAGES * PAGE_BYTES;
    let calls = stack_end + PAGE_BYTES;
    let outputs = calls + ROOM_PAGES * PAGE_BYTES;
    let layout_page = outputs + (ROOM_PAGES + 1) * PAGE_BYTES;
    let tcs = layout_page + PAGE_BYTES;
    let saved = tcs + PAGE_BYTES;
    let size = (saved + SAVED_PAGES * PAGE_BYTES).next_power_of_two();
    let layout = EnclaveLayout {
        size,
        tcs,
        stack_end,
        relocations: plan.relocations,
        calls: (calls, ROOM_PAGES * PAGE_BYTES),
        outputs: (outputs, ROOM_PAGES * PAGE_BYTES),
        ports: plan.ports,
    };
    let room = |pages: &mut Vec<Page>, start: u64, count: u64| {
        let offsets = (0..count).map(|page| start + page * PAGE_BYTES);
        pages.extend(offsets.map(|offset| Page { offset, kind: PageKind::WRITE, measured: None }));
    };
    room(&mut pages, stack, STACK_PAGES);
    room(&mut pages, calls, 2 * ROOM_PAGES);
    pages.push(Page { offset: layout_page, kind: PageKind::READ, measured: Some(Box::new(layout.page())) });
    let thread = control_structure(saved, plan.entry, layout_page);
    pages.push(Page { offset: tcs, kind: PageKind::Tcs, measured: Some(Box::new(thread)) });
    room(&mut pages, saved, SAVED_PAGES);
    Ok(Contents { size, pages })
}

fn add_segment(pages: &mut Vec<Page>, segment: &Segment<'_>) -> Result<(), String> {
    let start = segment.address / PAGE_BYTES * PAGE_BYTES;
    let inside = |address: u64| usize::try_from(address - start).map_err(|_| "it is too large".to_owned());
    let mut memory = vec![0; inside((segment.address + segment.length).next_multiple_of(PAGE_BYTES))?];
    let front = inside(segment.address)?;
    memory[front..front + segment.bytes.len()].copy_from_slice(segment.bytes);
    let kind = PageKind::Regular { write: segment.write, execute: segment.execute };
    let (chunks, _) = memory.as_chunks::<PAGE>();
    pages.extend(chunks.iter().zip((start..).step_by(PAGE)).map(|(bytes, offset)| Page {
        offset,
        kind,
        measured: Some(Box::new(*bytes)),
    }));
    Ok(())
}

/// The thread's control structure: where its saved state is, where it is entered, where FS and GS point. There is no
/// thread-local storage, so these point to something that cannot be written.
fn control_structure(saved: u64, entry: u64, segments: u64) -> [u8; PAGE] {
    let mut page = [0; PAGE];
    let frames = u32::try_from(SAVED_PAGES).unwrap_or(1);
    let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
    put(16, &saved.to_le_bytes());
    put(28, &frames.to_le_bytes());
    put(32, &entry.to_le_bytes());
    put(48, &segments.to_le_bytes());
    put(56, &segments.to_le_bytes());
    put(64, &0xfff_u32.to_le_bytes());
    put(68, &0xfff_u32.to_le_bytes());
    page
}
