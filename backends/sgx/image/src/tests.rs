//! Images of the probe: measured by others, reproducible, refused when their code does not fit.

use crate::{SgxBuilder, SigningKey, inspect};
use std::path::PathBuf;
use std::sync::OnceLock;
use veritee_platform::{BuildOrder, BuiltImage, Language};
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

/// Builds the author's crate in a folder of its own, with an own target folder.
fn hardened(folder: &std::path::Path, key: &SigningKey) -> Vec<u8> {
    let source = folder.join("rooms");
    std::fs::create_dir_all(source.join("src")).unwrap();
    let manifest = format!(
        "[package]\nname = \"rooms\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n\
         [package.metadata.veritee.sgx]\nhardened = true\nversion = 5\nproduct = 6\n\
         [dependencies]\nveritee = {{ path = {:?} }}\n",
        repository().join("sdk/rust").canonicalize().unwrap()
    );
    std::fs::write(source.join("Cargo.toml"), manifest).unwrap();
    std::fs::copy(repository().join("Cargo.lock"), source.join("Cargo.lock")).unwrap();
    std::fs::write(source.join("src/lib.rs"), AUTHORED).unwrap();
    let order = BuildOrder {
        module: "rooms",
        language: Language::Rust,
        source: &source,
        target: &folder.join("target"),
        owner: &[7; 32],
        ciphers: &[],
        talk: &|_| (),
    };
    let built = SgxBuilder::new(repository()).signed_by(key.clone()).build(&order).unwrap();
    std::fs::read(built.path).unwrap()
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
