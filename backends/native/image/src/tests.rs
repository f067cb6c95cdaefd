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
    assert_eq!(names, ["add", "sum", "ask", "double", "relay", "start", "burst"]);
    assert_eq!((built.ports.rows, built.ports.tokens, built.ports.state_bytes), (12, 2, 4));
    assert!(built.ports.ports[0].late && !built.ports.ports[1].late);
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
