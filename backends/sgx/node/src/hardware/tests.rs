//! The hardware's path as far as it goes without hardware: against the kernel's numbers, a kernel and an AESM made for the test,
//! and the vDSO of this machine.

mod fakes;

use super::aesm::{Aesm, AesmError, Answer, Message};
use super::kernel::{AddPages, Create, Init, Request, SecInfo, Secs};
use super::quoting::Quoting;
use super::{create, protection, vdso};
use crate::platform::Simulated;
use crate::platform::identity::Identity;
use crate::platform::quote::quoting_enclave;
use crate::service::{Answers as _, Client, Service};
use crate::tests::images;
use fakes::{FakeAesm, FakeKernel, Script};
use proptest::prelude::*;
use rustix::mm::ProtFlags;
use std::mem::offset_of;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use veritee_sgx_format::{PAGE, PageKind, SgxImage};

const SOON: Duration = Duration::from_millis(100);
const LATE: Duration = Duration::from_secs(20);

#[test]
fn structures_and_numbers_are_those_of_the_kernels_headers() {
    assert_eq!((size_of::<Create<'_>>(), Create::CODE), (8, 0x4008_a400));
    assert_eq!((size_of::<AddPages<'_>>(), AddPages::CODE), (48, 0xc030_a401));
    assert_eq!((size_of::<Init<'_>>(), Init::CODE), (8, 0x4008_a402));
    assert_eq!((size_of::<Secs>(), align_of::<Secs>()), (4096, 4096));
    let places =
        [offset_of!(Secs, size), offset_of!(Secs, base), offset_of!(Secs, frame_pages), offset_of!(Secs, misc)];
    assert_eq!(places, [0, 8, 16, 20]);
    assert_eq!([offset_of!(Secs, flags), offset_of!(Secs, xfrm)], [48, 56]);
    assert_eq!((size_of::<SecInfo>(), align_of::<SecInfo>(), offset_of!(SecInfo, flags)), (64, 64, 0));
}

#[test]
fn pages_are_mapped_as_the_processor_protects_them() {
    let all = ProtFlags::READ | ProtFlags::WRITE;
    let cases = [
        (PageKind::READ, 0x201, ProtFlags::READ),
        (PageKind::WRITE, 0x203, all),
        (PageKind::EXECUTE, 0x205, ProtFlags::READ | ProtFlags::EXEC),
        // The processor itself reads and writes a thread's structure; its SECINFO allows nobody anything.
        (PageKind::Tcs, 0x100, all),
    ];
    for (kind, flags, mapped) in cases {
        assert_eq!((kind.flags(), protection(kind)), (flags, mapped), "{kind}");
    }
}

/// An image that does nothing, signed.
fn image() -> SgxImage {
    SgxImage::read(&images::signed(&images::enclave(&[0xcc; 64]), |_| ())).unwrap()
}

#[test]
fn what_the_kernel_is_asked_for_measures_to_mrenclave() {
    let image = image();
    for kernel in [FakeKernel::default(), FakeKernel { pages_a_call: 1, ..FakeKernel::default() }] {
        let base = create(&kernel, &image).unwrap();
        assert!(base.is_multiple_of(image.contents.size), "an enclave is aligned to its length");
        assert_eq!(kernel.measured(), Some(image.measurement));
        let mapped = kernel.mapped.into_inner();
        let pages = |part: &(u64, usize, ProtFlags)| part.1 / PAGE;
        assert_eq!(mapped.iter().map(pages).sum::<usize>(), image.contents.pages.len());
        for (start, length, protection) in mapped {
            let range = start - base..start - base + length as u64;
            let inside = image.contents.pages.iter().filter(|page| range.contains(&page.offset));
            inside.for_each(|page| assert_eq!(protection, super::protection(page.kind), "{:#x}", page.offset));
        }
    }
}

#[test]
fn what_the_kernel_refuses_is_said_with_its_reason() {
    let image = image();
    let cases = [
        (Create::CODE, libc::EIO, "creates no enclave"),
        (Create::CODE, libc::ENOTTY, "no SGX device"),
        (AddPages::CODE, libc::ENOMEM, "no protected memory left"),
        (Init::CODE, libc::EPERM, "refuses its signature, measurement or attributes"),
        (0, libc::EPERM, "noexec"),
    ];
    for (code, error, words) in cases {
        let kernel = FakeKernel { refusal: Some((code, error)), ..FakeKernel::default() };
        let reason = create(&kernel, &image).unwrap_err();
        assert!(reason.contains(words), "{reason}");
    }
}

#[test]
fn functions_of_this_machines_vdso_are_found_and_can_be_called() {
    let found = vdso::find("__vdso_clock_gettime").unwrap();
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel's function of this name has this form, and the structure is writable.
    let came = unsafe {
        let function: extern "C" fn(i32, *mut libc::timespec) -> i32 =
            std::mem::transmute(found.range().start as *const ());
        function(libc::CLOCK_MONOTONIC, &raw mut time)
    };
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    assert!(came == 0 && time.tv_sec > 0 && time.tv_sec <= now.tv_sec && now.tv_sec - time.tv_sec < 60);
    let none = vdso::find("__vdso_none").unwrap_err();
    assert!(none.contains("__vdso_none") && none.contains("Linux 5.11"), "{none}");
}

#[test]
fn only_whole_functions_of_a_vdso_are_found() {
    let image =
        fakes::vdso(&[("enter", 0x200, 0x40, true), ("outside", 0x200, 0x10_0000, true), ("wanted", 0x200, 8, false)]);
    assert_eq!(vdso::symbol(&image, "enter").unwrap().range(), 0x200..0x240);
    for name in ["outside", "wanted", "other", ""] {
        assert_eq!(vdso::symbol(&image, name), None, "{name}");
    }
    for length in 0..image.len() {
        // Symbols lie at its end: what is cut has none.
        assert_eq!(vdso::symbol(&image[..length], "enter"), None, "{length}");
    }
}

#[test]
fn messages_are_bytes_as_the_protocol_has_them() {
    let inner = Message::default().number(9, 30_000_000);
    assert_eq!(Message::default().bytes(21, &inner.0).0, [0xaa, 1, 5, 0x48, 0x80, 0x87, 0xa7, 0x0e]);
    let message = Message::default().number(1, 300).bytes(2, b"ab").number(3, 0);
    assert_eq!(message.0, [8, 0xac, 2, 0x12, 2, b'a', b'b', 0x18, 0]);
    let answer = Answer(message.0);
    assert_eq!(
        (answer.number(1), answer.slice(2), answer.number(3), answer.number(4)),
        (Some(300), &b"ab"[..], Some(0), None)
    );
    // A field of another kind, passed over; a number without end; bytes behind the end.
    assert_eq!(Answer(vec![0x25, 1, 2, 3, 4, 8, 7]).number(1), Some(7));
    assert_eq!(Answer([&[8][..], &[0xff; 11]].concat()).number(1), None);
    assert_eq!(Answer(vec![0x12, 9, 1]).slice(2), b"");
}

proptest! {
    #[test]
    fn any_answer_is_taken_apart(bytes in prop::collection::vec(any::<u8>(), 0..200), field in 0..20_u64) {
        let answer = Answer(bytes);
        prop_assert!(answer.slice(field).len() <= 200);
        _ = answer.number(field);
    }
}

fn open(script: Script) -> Result<Aesm, AesmError> {
    let service = FakeAesm::start(script);
    Aesm::open(&service.socket(), if matches!(script, Script::Silent) { SOON } else { LATE })
}

#[test]
fn a_service_that_does_not_serve_is_told_apart() {
    let reason = |script| open(script).unwrap_err().to_string();
    let refused = reason(Script::Refuse(fakes::INIT_QUOTE, 42));
    assert!(refused.contains("code 42: its key is not initialised"), "{refused}");
    let unknown = reason(Script::Refuse(fakes::KEY_COUNT, 1));
    assert!(unknown.ends_with("with code 1"), "{unknown}");
    assert!(reason(Script::NoEcdsa).contains("no key for DCAP quotes"));
    for script in [Script::Silent, Script::Cut, Script::TooLong] {
        let error = open(script).unwrap_err();
        assert!(matches!(error, AesmError::Unreachable { .. }), "{script:?}: {error}");
    }
    for script in [Script::Garbage, Script::Empty] {
        let error = open(script).unwrap_err();
        assert!(matches!(error, AesmError::Nonsense { .. }), "{script:?}: {error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let nobody = Aesm::open(&folder.path().join("none"), LATE).unwrap_err().to_string();
    assert!(nobody.contains("none does not answer"), "{nobody}");
}

#[test]
fn quotes_of_aesm_reach_the_runner_with_the_collateral_of_the_folder() {
    let service = FakeAesm::start(Script::Serve);
    let folder = tempfile::tempdir().unwrap();
    let platform = folder.path().join("platform");
    let quoting = Quoting::open(&service.socket(), &platform).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    std::thread::spawn(move || Service::new(Box::new(quoting), theirs).serve());
    let client = Client::connected(ours).unwrap();
    assert_eq!(client.target(), Some(quoting_enclave().target()));

    let enclave = Identity { measurement: [1; 32], signer: [2; 32], product: 3, version: 5, attributes: (5, 7) };
    let report = service.platform.report(&enclave, &quoting_enclave().target(), &[9; 64]);
    let mut place = vec![0; 64 * 1024];
    let mut quoted = || {
        let length = client.quote(&report, &mut place).unwrap();
        let quote = usize::try_from(u32::from_le_bytes(place[..4].try_into().unwrap())).unwrap();
        (place[4..4 + quote].to_vec(), place[4 + quote..length].to_vec())
    };
    let (quote, none) = quoted();
    assert_eq!(quote[48..432], report[..384], "the quote is about this report");
    assert_eq!(quote.len(), 436 + usize::try_from(u32::from_le_bytes(quote[432..436].try_into().unwrap())).unwrap());
    assert!(none.is_empty());
    assert_eq!(std::fs::read(platform.join("quote.bin")).unwrap(), quote, "it is kept");
    std::fs::write(platform.join("collateral.json"), "{}").unwrap();
    assert_eq!(quoted().1, b"{}");

    // A report of another machine is refused by AESM, and the service lives on.
    let foreign = Simulated::generate().unwrap().report(&enclave, &quoting_enclave().target(), &[9; 64]);
    assert_eq!(client.quote(&foreign, &mut place), Some(0));
    assert_eq!(client.target(), Some(quoting_enclave().target()));
    // What the processor does itself is nobody's to ask for here.
    assert_eq!(client.report(&[0; 512], &[0; 64]), None);
}

#[test]
fn reports_and_keys_are_the_processors_own_affair() {
    let service = FakeAesm::start(Script::Serve);
    let folder = tempfile::tempdir().unwrap();
    let quoting = Quoting::open(&service.socket(), folder.path()).unwrap();
    assert!(quoting.report(&[0; 512], &[0; 64]).is_none() && quoting.key(&[0; 512]).is_none());
}
