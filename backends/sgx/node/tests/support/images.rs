//! The probe's image, built once into the workspace's target folder; and images made by hand.
#![allow(dead_code, reason = "each test uses its part")]

use std::path::PathBuf;
use std::sync::OnceLock;
use veritee_platform::{BuildOrder, BuiltImage, Language};
use veritee_sgx_format::{Contents, EnclaveLayout, PAGE, Page, PageKind, Sigstruct, image, sgxs};
use veritee_sgx_image::{SgxBuilder, SigningKey};

/// Whether images of SGX can run on this machine; says in one line why not.
pub(crate) fn run_here() -> bool {
    let supported = veritee_sgx_node::SgxPlatform::software_supported();
    if let Err(reason) = &supported {
        println!("skipped: {reason}");
    }
    supported.is_ok()
}

pub(crate) fn target() -> PathBuf {
    let program = std::env::current_exe().expect("a test has a program");
    let debug = program.ancestors().find(|folder| folder.ends_with("debug") || folder.ends_with("release"));
    debug.and_then(|debug| debug.parent()).expect("a target folder").join("test-images")
}

pub(crate) fn built() -> &'static BuiltImage {
    static IMAGE: OnceLock<BuiltImage> = OnceLock::new();
    IMAGE.get_or_init(|| build("probe"))
}

/// Builds a module of the test kit.
fn build(module: &str) -> BuiltImage {
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let built = SgxBuilder::new(repository.clone()).build(&BuildOrder {
        module,
        language: Language::Rust,
        source: &repository.join("testkit").join(module),
        target: &target(),
        owner: &veritee_conformance::desk::owner().public(),
        ciphers: veritee_ids::CipherId::ALL,
        talk: &|_| (),
    });
    built.expect("the module builds")
}

/// The image of a module that asks for a heap.
pub(crate) fn hoard() -> Vec<u8> {
    static IMAGE: OnceLock<BuiltImage> = OnceLock::new();
    std::fs::read(&IMAGE.get_or_init(|| build("hoard")).path).expect("the image is there")
}

pub(crate) fn probe() -> Vec<u8> {
    std::fs::read(&built().path).expect("the image is there")
}

/// The key that the probe was signed with.
pub(crate) fn key() -> SigningKey {
    built();
    let pem = std::fs::read_to_string(target().join("veritee/sgx/signing-key.pem")).expect("a key");
    SigningKey::from_pem(&pem).expect("a key")
}

/// Signs pages, after a change of what is signed.
pub(crate) fn signed(contents: &Contents, change: impl Fn(&mut [u8; 1808])) -> Vec<u8> {
    let stream = contents.write();
    let mut bytes = *Sigstruct::unsigned(sgxs::measure(&stream), 0, 1).bytes();
    change(&mut bytes);
    let mut sigstruct = Sigstruct::from_bytes(&bytes);
    key().sign(&mut sigstruct).expect("the key signs");
    image::write(&sigstruct, &stream)
}

/// An enclave of one page of code, with a stack that nobody needs.
pub(crate) fn enclave(code: &[u8]) -> Contents {
    let mut page = [0; PAGE];
    page[..code.len()].copy_from_slice(code);
    let offset = |page: u64| page * PAGE as u64;
    let layout = EnclaveLayout { size: offset(8), tcs: offset(4), stack_end: offset(2), ..EnclaveLayout::default() };
    let mut tcs = [0; PAGE];
    tcs[16..24].copy_from_slice(&offset(5).to_le_bytes());
    tcs[28] = 2;
    tcs[48..56].copy_from_slice(&offset(3).to_le_bytes());
    tcs[56..64].copy_from_slice(&offset(3).to_le_bytes());
    (tcs[64], tcs[65], tcs[68], tcs[69]) = (0xff, 0xf, 0xff, 0xf);
    let measured =
        |at: u64, kind, bytes: [u8; PAGE]| Page { offset: offset(at), kind, measured: Some(Box::new(bytes)) };
    let free = |at: u64| Page { offset: offset(at), kind: PageKind::WRITE, measured: None };
    let pages = vec![
        measured(0, PageKind::EXECUTE, page),
        free(1),
        measured(3, PageKind::READ, layout.page()),
        measured(4, PageKind::Tcs, tcs),
        free(5),
        free(6),
    ];
    Contents { size: offset(8), pages }
}
