//! The loader: what it lets through is safe to map, and everything unusual is refused with a reason.

use super::elf::{
    CODE, DATA, DT_INIT, DT_INIT_ARRAY, DT_JMPREL, DT_NEEDED, DT_PREINIT_ARRAY, DT_REL, DT_RELA, DT_RELASZ, DT_RELR,
    DYNAMIC, Elf, PLACE, PT_INTERP, PT_TLS, Part, R, W, X,
};
use crate::image::{PAGE, Plan, SPAN_MAX, map, plan};
use object::elf;
use proptest::collection::vec;
use proptest::prelude::*;

const RETURN: &[u8] = &[0xc3];

fn sound() -> Elf {
    Elf::with_code(RETURN)
}

/// Why an image with one fault is refused.
fn refusal(fault: impl FnOnce(&mut Elf)) -> String {
    let mut image = sound();
    fault(&mut image);
    refused(&image.bytes())
}

fn refused(bytes: &[u8]) -> String {
    let reason = plan(bytes).err().expect("the image is refused");
    assert_eq!(map(bytes).err(), Some(reason.clone()), "nothing is mapped of what is refused");
    reason
}

/// What the unsafe code of `map` relies on.
fn is_safe(plan: &Plan<'_>) -> Result<(), TestCaseError> {
    prop_assert!(plan.span <= 2 * SPAN_MAX && plan.span.is_multiple_of(PAGE));
    let mut pages = Vec::new();
    let mut entered = false;
    for part in &plan.segments {
        let end = part.address + part.length;
        prop_assert!(part.bytes.len() as u64 <= part.length && end <= plan.span);
        prop_assert!(part.flags & (elf::PF_W | elf::PF_X) != elf::PF_W | elf::PF_X);
        entered |= part.flags & elf::PF_X != 0 && (part.address..end).contains(&plan.entry);
        pages.push((part.address / PAGE, end.div_ceil(PAGE)));
    }
    prop_assert!(pages.is_sorted_by(|left, right| left.1 <= right.0), "segments share pages");
    prop_assert!(entered, "the entry is no code");
    for (place, _) in &plan.relocations {
        prop_assert!(place.checked_add(8).is_some_and(|end| end <= plan.span));
    }
    Ok(())
}

#[test]
fn a_sound_image_is_planned_and_mapped() {
    let bytes = sound().bytes();
    let plan = plan(&bytes).unwrap();
    is_safe(&plan).unwrap();
    assert_eq!((plan.entry, plan.span, plan.segments.len()), (CODE, 0x3000, 2));
    assert_eq!(plan.relocations, [(PLACE, CODE)]);
    assert!(map(&bytes).is_ok());
}

#[test]
fn files_that_are_no_images_of_this_processor_are_refused() {
    assert!(refusal(|image| image.magic = *b"\x7fELG").starts_with("it is no ELF image"));
    let processor = "it is no position-independent image of this processor";
    assert_eq!(refusal(|image| image.machine = 3), processor);
    assert_eq!(refusal(|image| image.form = 2), processor);
}

#[test]
fn cut_files_are_refused_at_every_length() {
    let bytes = sound().bytes();
    for length in 0..bytes.len() {
        assert!(plan(&bytes[..length]).is_err(), "cut to {length} bytes");
    }
}

#[test]
fn segments_that_cannot_be_mapped_are_refused() {
    let first = |change: fn(&mut Part)| refusal(|image| change(&mut image.parts[0]));
    assert_eq!(first(|part| part.offset = 0x2001), "a segment lies outside the file");
    assert_eq!(first(|part| part.offset = u64::MAX), "a segment lies outside the file");
    assert_eq!(first(|part| part.in_file = u64::MAX), "a segment lies outside the file");
    assert_eq!(first(|part| part.in_memory = part.in_file - 1), "a segment is too large");
    assert_eq!(first(|part| part.in_memory = SPAN_MAX), "a segment is too large");
    assert_eq!(first(|part| part.address = u64::MAX - 7), "a segment is too large");
    assert_eq!(first(|part| part.flags = R | W | X), "a segment is writable and executable");
    assert_eq!(first(|part| part.in_memory = 0x1001), "its segments overlap or share pages");
    assert_eq!(refusal(|image| image.parts.swap(0, 1)), "its segments overlap or share pages");
}

#[test]
fn an_entry_that_is_no_code_is_refused() {
    for entry in [0, CODE - 1, DATA, u64::MAX] {
        assert_eq!(refusal(|image| image.entry = entry), "its entry is not code");
    }
    assert_eq!(refusal(|image| image.parts.clear()), "its entry is not code");
}

#[test]
fn what_needs_a_loader_is_refused() {
    let needs = "it needs a loader or thread-local storage";
    assert_eq!(refusal(|image| image.parts[2].kind = PT_INTERP), needs);
    assert_eq!(refusal(|image| image.parts[2].kind = PT_TLS), needs);
    let more = "it needs more than RELATIVE relocations";
    let beyond = [DT_NEEDED, DT_INIT, DT_REL, DT_JMPREL, DT_INIT_ARRAY, DT_PREINIT_ARRAY, DT_RELR];
    for tag in beyond {
        assert_eq!(refusal(|image| image.dynamic.push((tag, DATA))), more, "tag {tag}");
    }
    assert_eq!(refusal(|image| image.relocations[0].1 += 1), more);
}

/// A dynamic section that cannot be read may name relocations: an image without them would be entered half made.
#[test]
fn an_unreadable_dynamic_section_is_refused() {
    assert!(refusal(|image| image.parts[2].offset = u64::MAX).contains("dynamic"));
    assert!(refusal(|image| image.parts[2].in_file = 0xfff).contains("dynamic"));
}

#[test]
fn relocations_outside_the_image_are_refused() {
    let place = |place| refusal(|image| image.relocations[0].0 = place);
    for outside in [0x2ff9, 0x3000, u64::MAX - 8, u64::MAX] {
        assert_eq!(place(outside), "it needs more than RELATIVE relocations", "{outside:#x}");
    }
    let table = |tag, value| refusal(|image| image.dynamic.push((tag, value)));
    for outside in [0, CODE - 1, 0x3000, u64::MAX] {
        assert_eq!(table(DT_RELA, outside), "its relocations lie outside", "{outside:#x}");
    }
    assert_eq!(table(DT_RELASZ, u64::MAX), "its relocations lie outside");
    assert_eq!(table(DT_RELASZ, 25), "its relocations are cut");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_refused(bytes in vec(any::<u8>(), 0..2048)) {
        prop_assert!(plan(&bytes).is_err());
    }

    /// Behind the first sixteen bytes nothing need be right.
    #[test]
    fn an_arbitrary_header_is_refused_or_safe(header in vec(any::<u8>(), 48), at in 0..4_u64) {
        let mut bytes = sound().bytes();
        bytes[16..64].copy_from_slice(&header);
        bytes[32..40].copy_from_slice(&(at * 32).to_le_bytes());
        plan(&bytes).map_or(Ok(()), |plan| is_safe(&plan))?;
    }

    /// A few words of a sound image are replaced by those that arithmetic is afraid of.
    #[test]
    fn a_changed_image_is_refused_or_safe(changes in vec((changeable(), word()), 1..4)) {
        let mut bytes = sound().bytes();
        for (at, word) in changes {
            bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        plan(&bytes).map_or(Ok(()), |plan| is_safe(&plan))?;
    }
}

/// Words of the header, the program headers, the relocations and the dynamic section.
fn changeable() -> impl Strategy<Value = usize> {
    let data = usize::try_from(DATA).unwrap();
    let dynamic = usize::try_from(DYNAMIC).unwrap();
    prop_oneof![
        (0..29_usize).prop_map(|word| 16 + word * 8 - word % 2 * 4),
        (0..3_usize).prop_map(move |word| data + word * 8),
        (0..4_usize).prop_map(move |word| dynamic + word * 8),
    ]
}

fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (0..64_u64).prop_map(|back| u64::MAX - back),
        (0..64_u64).prop_map(|back| SPAN_MAX - 32 + back),
        (0..0x40_u64).prop_map(|pages| pages * 0x100),
        0..0x4000_u64,
    ]
}
