use crate::NativeBuilder;
use std::fs;
use std::path::{Path, PathBuf};
use veritee_platform::{BuildOrder, BuiltImage, Language, PlatformError};

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

/// Test images share one folder below the workspace's target folder: they are built once.
fn target() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.ancestors().find(|folder| folder.ends_with("debug")).unwrap().parent().unwrap().join("test-images")
}

fn build(framework: &Path, source: &Path, target: &Path) -> Result<BuiltImage, PlatformError> {
    NativeBuilder::new(framework.to_owned()).build(&BuildOrder {
        module: "probe",
        language: Language::Rust,
        source,
        target,
        owner: &[7; 32],
        ciphers: &[],
        talk: &|_| (),
    })
}

#[test]
fn an_image_has_the_ports_of_its_module() {
    let built = build(&repository(), &repository().join("testkit/probe"), &target()).unwrap();
    let names: Vec<&str> = built.ports.ports.iter().map(|port| port.name.as_str()).collect();
    assert_eq!(names, ["ask", "sum", "add", "twice", "relay", "start", "burst"]);
    assert_eq!((built.ports.rows, built.ports.tokens, built.ports.state_bytes), (12, 2, 4));
    assert!(built.ports.ports[2].late && !built.ports.ports[1].late);
    assert_eq!(built.measurement.len(), 32);
}

#[test]
fn a_module_that_does_not_compile_says_why() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    let manifest = "[package]\nname = \"broken\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    fs::write(folder.path().join("src/lib.rs"), "#![no_std]\nfn broken() -> u8 { \"text\" }\n").unwrap();
    let error = build(&repository(), folder.path(), &folder.path().join("target")).unwrap_err();
    assert!(matches!(&error, PlatformError::Build { output, .. } if output.contains("mismatched types")), "{error}");
}

#[test]
fn a_missing_source_or_framework_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = build(&repository(), &folder.path().join("nowhere"), folder.path()).unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
    let error = build(folder.path(), folder.path(), folder.path()).unwrap_err();
    assert!(error.to_string().contains("VERITEE_HOME"), "{error}");
}

/// What an author writes. It says where its source was, so that the compiler must put a path into the image.
const AUTHORED: &str = r#"#![no_std]

use veritee::{Bytes, Payload};

#[derive(Payload, Clone, Copy)]
pub struct Place {
    pub file: Bytes<200>,
}

#[derive(Payload, Clone, Copy)]
pub struct Reading {
    pub place: u8,
    pub celsius: i16,
}

#[derive(Default)]
pub struct Rooms {
    readings: [i16; 4],
}

#[veritee::module]
impl Rooms {
    #[output]
    fn sum(reading: Reading);

    #[entry(public)]
    fn place(&mut self, _io: &mut Io<'_>) -> Place {
        Place { file: Bytes::new_truncated(file!().as_bytes()) }
    }

    #[input]
    fn measured(&mut self, mut io: Io<'_>, reading: Reading) {
        self.readings[usize::from(reading.place)] += reading.celsius;
        io.sum(&Reading { place: 0, celsius: self.readings.iter().sum() });
    }
}
"#;

/// Writes the author's crate below `folder`, against a checkout of the framework.
fn author(folder: &Path, framework: &Path) -> PathBuf {
    let source = folder.join("rooms");
    fs::create_dir_all(source.join("src")).unwrap();
    let manifest = format!(
        "[package]\nname = \"rooms\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n\
         [dependencies]\nveritee = {{ path = {:?} }}\n",
        framework.join("sdk/rust")
    );
    fs::write(source.join("Cargo.toml"), manifest).unwrap();
    fs::write(source.join("src/lib.rs"), AUTHORED).unwrap();
    source
}

/// Copies what images are built of.
fn copy_framework(to: &Path) {
    let from = repository();
    for file in ["Cargo.toml", "Cargo.lock"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    for folder in ["trusted", "ciphers", "sdk", "backends/bare", "backends/native/runtime"] {
        copy(&from.join(folder), &to.join(folder));
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let place = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &place);
        } else {
            fs::copy(&path, place).unwrap();
        }
    }
}

/// An owner compares the measurement of what he builds with what a node runs: it must not tell where he built it.
#[test]
fn equal_sources_give_equal_images_wherever_they_are_built() {
    let folders = ["first", "the-second-is-elsewhere"].map(|name| {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join(name);
        fs::create_dir(&place).unwrap();
        (folder, place)
    });
    let images = folders.each_ref().map(|(_, place)| {
        let framework = place.join("framework");
        fs::create_dir(&framework).unwrap();
        copy_framework(&framework);
        let source = author(place, &framework);
        let built = build(&framework, &source, &place.join("target")).unwrap();
        fs::read(built.path).unwrap()
    });
    assert!(images[0] == images[1], "the images differ: {:?}", difference(&images[0], &images[1]));
    assert!(contains(&images[0], b"/modules/src/lib.rs"), "the place is there, by a name of its own");
    for (folder, _) in &folders {
        let place = folder.path().to_string_lossy().into_owned();
        assert!(!contains(&images[0], place.as_bytes()), "{place} is in the image");
    }
}

/// Lengths, and where the first difference is.
fn difference(left: &[u8], right: &[u8]) -> (usize, usize, Option<usize>) {
    (left.len(), right.len(), left.iter().zip(right).position(|(left, right)| left != right))
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
