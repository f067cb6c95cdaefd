//! Streams and layouts: read as written, refused when a rule is broken.

use crate::sgxs::{Contents, Page, PageKind, measure};
use crate::{EnclaveLayout, FormatError, PAGE, SgxImage, Sigstruct};

fn contents() -> Contents {
    let page = |offset: u64, kind, byte| Page { offset, kind, measured: Some(Box::new([byte; PAGE])) };
    let free = Page { offset: 0x2000, kind: PageKind::WRITE, measured: None };
    Contents { size: 0x8000, pages: vec![page(0, PageKind::EXECUTE, 0x90), page(0x1000, PageKind::READ, 1), free] }
}

#[test]
fn a_stream_is_read_as_written() {
    let stream = contents().write();
    assert_eq!(Contents::read(&stream), Ok(contents()));
    assert_eq!(stream.len(), 64 + 2 * (64 + 16 * (64 + 256)) + 64);
    assert_eq!(contents().bytes(0xff0, 0x20).unwrap(), [[0x90; 16], [1; 16]].concat());
    assert_eq!(contents().bytes(0x1ff0, 0x20), None, "what is not measured has no bytes");
    assert_eq!(contents().bytes(u64::MAX, 2), None);
}

/// Blocks that the manual writes down: the measurement of an enclave with one page of zeros.
#[test]
fn the_stream_is_what_the_instructions_measure() {
    let page = Page { offset: 0, kind: PageKind::READ, measured: Some(Box::new([0; PAGE])) };
    let stream = Contents { size: 0x1000, pages: vec![page] }.write();
    assert_eq!(stream[..8], *b"ECREATE\0");
    assert_eq!(stream[8..20], [1, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0]);
    assert_eq!(stream[64..72], *b"EADD\0\0\0\0");
    assert_eq!(stream[80..82], [1, 2], "SECINFO: readable, regular");
    assert_eq!(stream[128..136], *b"EEXTEND\0");
    let last = stream.len() - 256 - 64;
    assert_eq!(stream[last + 8..last + 10], [0, 0x0f], "the last chunk's offset");
}

#[test]
fn no_cut_or_changed_stream_is_taken_for_another() {
    let stream = contents().write();
    for length in (0..stream.len()).filter(|length| length % 61 == 0) {
        if let Ok(found) = Contents::read(&stream[..length]) {
            assert_eq!(found.write(), stream[..length], "length {length}");
        }
    }
    for at in (0..stream.len()).step_by(3) {
        let mut changed = stream.clone();
        changed[at] ^= 0x20;
        assert_ne!(measure(&changed), measure(&stream));
        if let Ok(found) = Contents::read(&changed) {
            assert_eq!(found.write(), changed, "byte {at}: what is read is all that was measured");
        }
    }
}

#[test]
fn streams_that_no_image_of_ours_has_are_refused() {
    let with = |change: &dyn Fn(&mut Contents)| {
        let mut contents = contents();
        change(&mut contents);
        Contents::read(&contents.write())
    };
    assert!(with(&|_| ()).is_ok());
    let broken: [&dyn Fn(&mut Contents); 5] = [
        &|contents| contents.size = 0x7000,
        &|contents| contents.size = 1 << 40,
        &|contents| contents.pages[1].offset = 0x8000,
        &|contents| contents.pages.swap(0, 1),
        &|contents| contents.pages[1].offset = 0x801,
    ];
    for (case, change) in broken.iter().enumerate() {
        assert!(matches!(with(change), Err(FormatError::Pages(_))), "case {case}");
    }
}

#[test]
fn a_layout_page_is_read_as_written() {
    let layout = EnclaveLayout {
        size: 1,
        tcs: 2,
        stack_end: 3,
        relocations: (4, 5),
        calls: (6, 7),
        outputs: (8, 9),
        ports: (10, 11),
    };
    assert_eq!(EnclaveLayout::read(&layout.page()), Ok(layout));
    for at in [0, 7, 96, 4095] {
        let mut page = layout.page();
        page[at] ^= 1;
        assert!(EnclaveLayout::read(&page).is_err(), "byte {at}");
    }
}

#[test]
fn an_unsigned_sigstruct_is_refused() {
    let sigstruct = Sigstruct::unsigned([7; 32], 1, 2);
    assert_eq!((sigstruct.product(), sigstruct.version(), sigstruct.measurement()), (1, 2, [7; 32]));
    assert!(matches!(sigstruct.check([7; 32]), Err(FormatError::Signature(_))));
}

#[test]
fn files_that_are_no_images_are_refused() {
    assert!(matches!(SgxImage::read(b""), Err(FormatError::NoImage)));
    assert!(matches!(SgxImage::read(b"VTSGXIMG"), Err(FormatError::Length)));
    let version = FormatError::Version { expected: 1, actual: 2 };
    assert_eq!(SgxImage::read(b"VTSGXIMG\x02\0\0\0\0\0\0\0").unwrap_err(), version);
    assert!(matches!(SgxImage::read(b"VTSGXIMG\x01\0\0\0\0\0\0\0cut"), Err(FormatError::Length)));
}
