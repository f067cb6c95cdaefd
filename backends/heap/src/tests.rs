extern crate std;

use crate::Heap;
use core::alloc::{GlobalAlloc as _, Layout};
use core::sync::atomic::Ordering;
use std::boxed::Box;
use std::vec::Vec;

/// A heap that stays where it is, as in an image.
fn heap() -> &'static Heap<4096> {
    Box::leak(Box::new(Heap::new()))
}

fn layout(bytes: usize, alignment: usize) -> Layout {
    Layout::from_size_align(bytes, alignment).unwrap()
}

fn take(heap: &Heap<4096>, layout: Layout) -> Option<usize> {
    // SAFETY: no layout here is empty.
    let place = unsafe { heap.alloc(layout) };
    (!place.is_null()).then_some(place as usize)
}

fn give(heap: &Heap<4096>, place: usize, layout: Layout) {
    // SAFETY: `take` gave the place for this layout, and it is given back once.
    unsafe { heap.dealloc(place as *mut u8, layout) };
}

#[test]
fn what_is_handed_out_is_aligned_inside_and_nobody_elses() {
    let heap = heap();
    let memory = heap.memory.get() as usize;
    let mut taken: Vec<(usize, usize)> = Vec::new();
    for (bytes, alignment) in [(1, 1), (7, 2), (24, 8), (100, 16), (3, 64), (64, 256), (511, 1)] {
        let place = take(heap, layout(bytes, alignment)).expect("there is room");
        assert!(place.is_multiple_of(alignment), "{bytes} bytes at {place:#x}");
        assert!(memory <= place && place + bytes <= memory + 4096, "{bytes} bytes outside");
        assert!(taken.iter().all(|(other, length)| place + bytes <= *other || other + length <= place));
        taken.push((place, bytes));
    }
}

#[test]
fn all_of_it_can_be_taken_again_after_it_was_given_back_in_any_order() {
    let heap = heap();
    let (small, all) = (layout(64, 8), layout(4096, 16));
    for step in [1, 5, 7] {
        let places: Vec<usize> = core::iter::from_fn(|| take(heap, small)).collect();
        assert_eq!(places.len(), 64);
        // All of them, in an order of its own: steps and 64 have no common factor.
        for at in 0..places.len() {
            give(heap, places[at * step % places.len()], small);
        }
        let whole = take(heap, all).expect("the pieces are one again");
        give(heap, whole, all);
    }
}

#[test]
fn what_has_no_room_is_refused_and_remembered_until_something_had() {
    let heap = heap();
    let held = layout(3000, 8);
    let place = take(heap, held).expect("there is room");
    for too_much in [layout(2000, 8), layout(4096, 1), layout(usize::MAX / 2, 1)] {
        assert_eq!(take(heap, too_much), None);
        assert!(heap.refused.load(Ordering::Relaxed));
    }
    give(heap, place, held);
    assert!(heap.refused.load(Ordering::Relaxed), "giving back is no request");
    assert!(take(heap, held).is_some());
    assert!(!heap.refused.load(Ordering::Relaxed));
    heap.end_if_exhausted();
}

#[test]
#[should_panic(expected = "two threads in one image")]
fn who_comes_while_another_works_does_not_touch_the_list() {
    let heap = heap();
    heap.busy.store(true, Ordering::Relaxed);
    take(heap, layout(8, 8));
}

/// Random lives of pieces that each hold their own byte: what one holds, no other changes.
#[test]
fn pieces_keep_their_bytes_over_random_lives() {
    let heap = heap();
    let mut held: Vec<(usize, Layout, u8)> = Vec::new();
    let mut random = 1_u64;
    for turn in 0..20_000_u32 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let draw = usize::try_from(random >> 33).unwrap();
        if draw.is_multiple_of(2) && !held.is_empty() {
            let (place, layout, byte) = held.swap_remove(draw / 2 % held.len());
            // SAFETY: taken below with this layout, and filled.
            let bytes = unsafe { core::slice::from_raw_parts(place as *const u8, layout.size()) };
            assert!(bytes.iter().all(|found| *found == byte), "in turn {turn}");
            give(heap, place, layout);
        } else {
            let layout = layout(1 + draw / 2 % 200, 1 << (draw / 512 % 6));
            let byte = turn.to_le_bytes()[0];
            if let Some(place) = take(heap, layout) {
                // SAFETY: so many bytes were handed out at this place.
                unsafe { (place as *mut u8).write_bytes(byte, layout.size()) };
                held.push((place, layout, byte));
            }
        }
    }
    assert!(held.len() > 3, "the heap was in use");
}
