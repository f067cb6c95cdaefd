//! Sealed state of real enclaves: which image of which signer and version opens it.

#[path = "support/images.rs"]
mod images;
mod support;

use std::sync::OnceLock;
use support::Enclave;
use veritee_conformance::sealed::{SUM, opened, sealed};
use veritee_ids::{ControlResult, SealPolicy};
use veritee_sgx_format::sgxs::{self, PageKind};
use veritee_sgx_format::{Contents, SgxImage, Sigstruct, image};
use veritee_sgx_image::SigningKey;

/// The probe's pages; the changed ones have another byte where nothing is.
fn contents(changed: bool) -> Contents {
    let mut contents = SgxImage::read(&images::probe()).expect("sound").contents;
    let mut pages = contents.pages.iter_mut().filter(|page| page.kind == PageKind::EXECUTE);
    let free = pages.find_map(|page| page.measured.as_mut().filter(|bytes| bytes.ends_with(&[0; 8])));
    let free = free.expect("code does not fill its last page");
    free[free.len() - 1] = u8::from(changed);
    contents
}

/// The probe, of a version, signed with a key.
fn probe(changed: bool, version: u16, key: &SigningKey) -> Vec<u8> {
    let stream = contents(changed).write();
    let mut sigstruct = Sigstruct::unsigned(sgxs::measure(&stream), 0, version);
    key.sign(&mut sigstruct).expect("the key signs");
    image::write(&sigstruct, &stream)
}

fn stranger() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate().expect("a key"))
}

#[test]
fn a_state_opens_for_whom_it_was_sealed() {
    if !images::run_here() {
        return;
    }
    let key = images::key();
    let images = [
        ("the same image", probe(false, 2, &key)),
        ("another image of the signer", probe(true, 2, &key)),
        ("a higher version", probe(true, 3, &key)),
        ("a lower version", probe(false, 1, &key)),
        ("another signer", probe(false, 2, stranger())),
    ];
    // In the order of the images. A processor gives no key of a version above the enclave's, whatever the policy.
    let cases = [
        (SealPolicy::Enclave, [true, false, false, false, true]),
        (SealPolicy::Signer, [true, true, true, false, false]),
    ];
    for (policy, opens) in cases {
        let (head, state) = sealed(&|| Box::new(Enclave::start(&images[0].1)), policy);
        assert_ne!(state, SUM.to_le_bytes());
        for ((what, image), opens) in images.iter().zip(opens) {
            let came = opened(&|| Box::new(Enclave::start(image)), &head, &state);
            assert_eq!(came, if opens { Ok(SUM) } else { Err(ControlResult::NoState) }, "for {policy:?}: {what}");
        }
    }
}

#[test]
fn the_name_of_a_key_says_what_it_was_sealed_by() {
    if !images::run_here() {
        return;
    }
    let image = probe(false, 2, &images::key());
    let start = || -> Box<dyn veritee_conformance::Subject> { Box::new(Enclave::start(&image)) };
    let (head, state) = sealed(&start, SealPolicy::Enclave);
    let (again, other) = sealed(&start, SealPolicy::Enclave);
    assert_ne!((head.name, &state), (again.name, &other), "each sealing has a key of its own");
    assert_eq!(head.name[..16], [2; 16], "CPUSVN of the simulated platform");
    assert_eq!(head.name[16..18], 2_u16.to_le_bytes(), "ISVSVN");
    // A host, or whoever stores the file, cannot have it opened under other versions.
    for (at, value) in [(0, 1), (0, 3), (16, 1), (16, 3), (17, 1)] {
        let mut name = head.name;
        name[at] = value;
        let edited = veritee_wire::layout::SealHead { name, ..head };
        assert_eq!(opened(&start, &edited, &state), Err(ControlResult::NoState), "byte {at} is {value}");
    }
    assert_eq!(opened(&start, &head, &state), Ok(SUM));
}
