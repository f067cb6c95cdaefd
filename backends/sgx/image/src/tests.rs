//! Images of the probe: measured by others, reproducible, refused when their code does not fit.

use crate::elf::{Plan, Segment};
use crate::{SgxBuilder, SigningKey, inspect, scan};
use std::path::PathBuf;
use std::sync::OnceLock;
use veritee_platform::{BuildOrder, BuiltImage, Language, PlatformError};
use veritee_sgx_format::{SgxImage, hex};

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn target() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.ancestors().find(|folder| folder.ends_with("debug")).unwrap().parent().unwrap().join("test-images")
}

fn probe() -> &'static BuiltImage {
    static BUILT: OnceLock<BuiltImage> = OnceLock::new();
    BUILT.get_or_init(|| {
        let order = BuildOrder {
            module: "probe",
            language: Language::Rust,
            source: &repository().join("testkit/probe"),
            target: &target(),
            owner: &[7; 32],
            ciphers: &[],
            talk: &|_| (),
        };
        SgxBuilder::new(repository()).build(&order).unwrap()
    })
}

#[test]
fn an_image_is_what_einit_accepts() {
    let file = std::fs::read(&probe().path).unwrap();
    let image = SgxImage::read(&file).unwrap();
    assert_eq!(image.measurement.to_vec(), probe().measurement);
    let shown = inspect::to_json(&file).unwrap();
    assert_eq!(shown["measurement"], hex(&image.measurement));
    assert_eq!(shown["table"]["ports"][0]["name"], "ask");
    assert!(inspect::to_text(&file).unwrap().contains("enclave_bytes"));
}

/// SHA-256 for the other implementation.
struct Hasher(sha2::Sha256);

impl sgxs::crypto::SgxHashOps for Hasher {
    fn new() -> Self {
        Self(sha2::Digest::new())
    }
    fn update(&mut self, data: &[u8]) {
        sha2::Digest::update(&mut self.0, data);
    }
    fn finish(self) -> sgxs::crypto::Hash {
        sha2::Digest::finalize(self.0).into()
    }
}

/// Measures an image's file as the other implementation does.
fn measured_elsewhere(file: &[u8]) -> [u8; 32] {
    let mut stream = &file[16 + 1808..];
    sgxs::sigstruct::EnclaveHash::from_stream::<_, Hasher>(&mut stream).unwrap().hash()
}

#[test]
fn another_implementation_measures_the_same() {
    let file = std::fs::read(&probe().path).unwrap();
    assert_eq!(measured_elsewhere(&file).to_vec(), probe().measurement);
}

#[test]
fn a_key_of_another_form_is_refused() {
    assert!(SigningKey::from_pem("nonsense").unwrap_err().contains("cannot be read"));
}

/// What an author writes; it says where its source was, so that the compiler must put a path into the image.
const AUTHORED: &str = r#"#![no_std]

use veritee::{Bytes, Payload};

#[derive(Payload, Clone, Copy)]
pub struct Place {
    pub file: Bytes<200>,
}

#[derive(Default)]
pub struct Rooms {
    asked: u32,
}

#[veritee::module]
impl Rooms {
    #[entry(public)]
    fn place(&mut self, _io: &mut Io<'_>) -> Place {
        self.asked = self.asked.wrapping_add(1);
        Place { file: Bytes::new_truncated(file!().as_bytes()) }
    }
}
"#;

/// Builds an author's crate, its source and a part of its manifest, in a folder of its own, with an own target folder.
fn authored_image(
    folder: &std::path::Path, (text, section): (&str, &str), key: Option<&SigningKey>,
) -> Result<BuiltImage, PlatformError> {
    let source = folder.join("rooms");
    std::fs::create_dir_all(source.join("src")).unwrap();
    let manifest = format!(
        "[package]\nname = \"rooms\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n{section}\
         [dependencies]\nveritee = {{ path = {:?} }}\n",
        repository().join("sdk/rust").canonicalize().unwrap()
    );
    std::fs::write(source.join("Cargo.toml"), manifest).unwrap();
    std::fs::copy(repository().join("Cargo.lock"), source.join("Cargo.lock")).unwrap();
    std::fs::write(source.join("src/lib.rs"), text).unwrap();
    let order = BuildOrder {
        module: "rooms",
        language: Language::Rust,
        source: &source,
        target: &folder.join("target"),
        owner: &[7; 32],
        ciphers: &[],
        talk: &|_| (),
    };
    let builder = SgxBuilder::new(repository());
    match key {
        Some(key) => builder.signed_by(key.clone()),
        None => builder,
    }
    .build(&order)
}

/// The author's crate, hardened.
fn hardened(folder: &std::path::Path, key: &SigningKey) -> Vec<u8> {
    let section = "[package.metadata.veritee.sgx]\nhardened = true\nversion = 5\nproduct = 6\n";
    std::fs::read(authored_image(folder, (AUTHORED, section), Some(key)).unwrap().path).unwrap()
}

/// A program of one piece of code at an address, with the one exit that an image has behind it.
fn swept(code: &[u8]) -> Result<(), String> {
    let mut bytes = code.to_vec();
    bytes.resize(bytes.len().next_multiple_of(8), 0x90);
    bytes.extend(scan::EXIT);
    let segment = Segment { address: 0x1000, length: 0, bytes: &bytes, write: false, execute: true };
    scan::check(&Plan { segments: vec![segment], entry: 0x1000, relocations: (0, 0), ports: (0, 0), span: 0x2000 })
}

#[test]
fn code_that_an_enclave_cannot_execute_is_refused_with_its_address() {
    swept(&[0x90, 0xc3]).unwrap();
    let illegal: [(&str, &[u8]); 14] = [
        ("cpuid", &[0x0f, 0xa2]),
        ("syscall", &[0x0f, 0x05]),
        ("sysenter", &[0x0f, 0x34]),
        ("int", &[0xcd, 0x80]),
        ("in", &[0xec]),
        ("out", &[0xee]),
        ("rdtsc", &[0x0f, 0x31]),
        ("rdtscp", &[0x0f, 0x01, 0xf9]),
        ("hlt", &[0xf4]),
        ("wrgsbase", &[0xf3, 0x48, 0x0f, 0xae, 0xd8]),
        ("vmcall", &[0x0f, 0x01, 0xc1]),
        ("fld1", &[0xd9, 0xe8]),
        ("emms", &[0x0f, 0x77]),
        ("evex", &[0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc0]),
    ];
    for (name, bytes) in illegal {
        let refusal = swept(&[&[0x90, 0x90, 0x90], bytes].concat()).unwrap_err();
        assert!(refusal.starts_with("its code at 0x1003 has "), "{name}: {refusal}");
        assert!(refusal.contains(name), "{name}: {refusal}");
    }
    // A second exit would leave with registers that nobody cleared; one that is not seen as an instruction is one, too.
    assert!(swept(&scan::EXIT).unwrap_err().contains("one exit"));
    assert!(swept(&[0x48, 0xb8, 0x0f, 0x01, 0xd7, 0, 0, 0, 0, 0]).unwrap_err().contains("one exit"));
}

/// What an author may try: to ask the processor what it is.
#[test]
fn a_module_that_asks_the_processor_what_it_is_does_not_become_an_image() {
    let folder = tempfile::tempdir().unwrap();
    let question = "let model = core::arch::x86_64::__cpuid(self.asked).eax.to_le_bytes();\n        \
                    Place { file: Bytes::new_truncated(&model) }";
    let authored = AUTHORED.replace("Place { file: Bytes::new_truncated(file!().as_bytes()) }", question);
    assert_ne!(authored, AUTHORED);
    let error = authored_image(folder.path(), (&authored, ""), None).unwrap_err().to_string();
    assert!(error.contains("module rooms: its code at 0x") && error.contains("cpuid, which is illegal"), "{error}");
}

/// The author's crate with or without fences: the other implementation measures both as we do.
#[test]
fn another_implementation_measures_hardened_images_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut measurements = Vec::new();
    for manifest in ["", "[package.metadata.veritee.sgx]\nhardened = true\n"] {
        let built = authored_image(folder.path(), (AUTHORED, manifest), None).unwrap();
        assert_eq!(measured_elsewhere(&std::fs::read(&built.path).unwrap()).to_vec(), built.measurement);
        measurements.push(built.measurement);
    }
    assert_ne!(measurements[0], measurements[1], "fences are code");
}

/// An owner compares the measurement of what he builds with what a node runs: it must not tell where he built it.
#[test]
fn equal_sources_give_equal_hardened_images_wherever_they_are_built() {
    let pem = std::fs::read_to_string({
        probe();
        target().join("veritee/sgx/signing-key.pem")
    });
    let key = SigningKey::from_pem(&pem.unwrap()).unwrap();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [first, second] = folders.each_ref().map(|folder| hardened(folder.path(), &key));
    assert!(first == second, "the images differ");
    let image = SgxImage::read(&first).unwrap();
    assert_eq!((image.sigstruct.version(), image.sigstruct.product()), (5, 6));
    assert_eq!(measured_elsewhere(&first), image.measurement);
    let code: Vec<u8> = image
        .contents
        .pages
        .iter()
        .filter(|page| page.kind == veritee_sgx_format::PageKind::EXECUTE)
        .flat_map(|page| page.measured.as_ref().unwrap().to_vec())
        .collect();
    let (mut fences, mut returns) = (0, 0);
    for instruction in iced_x86::Decoder::new(64, &code, 0) {
        fences += usize::from(instruction.mnemonic() == iced_x86::Mnemonic::Lfence);
        returns += usize::from(instruction.mnemonic() == iced_x86::Mnemonic::Ret);
    }
    assert!(fences > 100 && returns == 0, "{fences} fences, {returns} plain returns");
}
