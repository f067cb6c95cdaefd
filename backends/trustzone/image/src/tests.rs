use crate::content::{BadContent, identify, judge, place as place_bytes};
use crate::sign::SigningKey;
use crate::{TrustzoneBuilder, sign_module, sign_service};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use veritee_ids::Freshness;
use veritee_ids::limits::NAME_BYTES_MAX;
use veritee_platform::{BuildOrder, BuiltImage, Language, PlatformError};
use veritee_trustzone_format::service;

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

/// Test images share one folder below the workspace's target folder: they are built once.
fn target() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.ancestors().find(|folder| folder.ends_with("debug")).unwrap().parent().unwrap().join("test-images")
}

fn build(framework: &Path, module: &str, source: &Path, target: &Path, owner: u8) -> Result<BuiltImage, PlatformError> {
    TrustzoneBuilder::new(framework.to_owned()).build(&BuildOrder {
        module,
        language: Language::Rust,
        source,
        target,
        owner: &[owner; 32],
        ciphers: &[],
        talk: &|_| (),
    })
}

/// Whether the compiler's target is there; says so where it is not.
fn skipped(error: &PlatformError) -> bool {
    let missing = matches!(error, PlatformError::MissingTool { .. });
    if missing {
        eprintln!("skipped: {error}");
    }
    missing
}

/// The probe as a trusted application, before it has a place. `None` where it cannot be built.
static PROBE: LazyLock<Option<BuiltImage>> =
    LazyLock::new(|| match build(&repository(), "probe", &repository().join("testkit/probe"), &target(), 7) {
        Ok(built) => Some(built),
        Err(error) if skipped(&error) => None,
        Err(error) => panic!("{error}"),
    });

/// The bytes of the probe in its place.
fn placed(vendor: u16) -> Option<Vec<u8>> {
    let mut bytes = fs::read(&PROBE.as_ref()?.path).unwrap();
    place_bytes(&mut bytes, vendor, Freshness::SoftwarePrng).unwrap();
    Some(bytes)
}

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(2048).unwrap());

#[test]
fn an_image_has_the_ports_of_its_module_and_is_named_after_its_content() {
    let Some(built) = &*PROBE else { return };
    assert_eq!((built.ports.rows, built.ports.tokens, built.ports.state_bytes), (12, 2, 4));
    let placed = crate::place(built, 300, Freshness::SoftwarePrng).unwrap();
    let content = judge(&fs::read(&placed.image.path).unwrap()).unwrap();
    assert_eq!(content, placed.content);
    assert_eq!(placed.image.measurement, content.hash);
    assert_eq!(content.uuid.0, content.hash[..16]);
    assert_eq!((content.identity.owner, content.identity.vendor), ([7; 32], 300));
    assert_eq!(content.identity.freshness, Freshness::SoftwarePrng);
    assert!(content.identity.instance.starts_with(b"probe\0"));
}

#[test]
fn a_name_that_is_too_long_identifies_no_image() {
    let Some(mut bytes) = placed(2) else { return };
    assert_eq!(identify(&mut bytes, [7; 32], &"n".repeat(NAME_BYTES_MAX + 1)), Err(BadContent::Identity));
    assert_eq!(identify(&mut bytes, [7; 32], &"n".repeat(NAME_BYTES_MAX)), Ok(()));
    assert_eq!(judge(&bytes), Err(BadContent::Identity), "it has no place any more");
}

#[test]
fn each_part_of_the_content_makes_another_name() {
    let Some(bytes) = placed(2) else { return };
    let first = judge(&bytes).unwrap();
    let renamed = |vendor, freshness| {
        let mut other = bytes.clone();
        place_bytes(&mut other, vendor, freshness).unwrap().uuid
    };
    assert_eq!(renamed(2, Freshness::SoftwarePrng), first.uuid);
    assert_ne!(renamed(3, Freshness::SoftwarePrng), first.uuid);
    assert_ne!(renamed(2, Freshness::HardwareRng), first.uuid);
    let owner = bytes.windows(32).position(|window| window == [7; 32]).unwrap();
    for at in [owner, owner + 40, bytes.len() / 2, bytes.len() - 1] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let Err(BadContent::Name { content, head }) = judge(&changed) else { panic!("byte {at} is not measured") };
        assert!(content != first.uuid && head == first.uuid);
    }
}

#[test]
fn a_signer_refuses_everything_that_is_not_named_after_its_content() {
    let Some(bytes) = placed(2) else { return };
    let refused = |vendor, image: &[u8]| sign_module(&KEY, vendor, image).unwrap_err().to_string();
    let mut foreign = bytes.clone();
    let head = bytes.windows(16).position(|window| window == judge(&bytes).unwrap().uuid.to_tee()).unwrap();
    foreign[head..head + 16].copy_from_slice(&service::UUID.to_tee());
    assert!(refused(2, &foreign).contains("calls itself 765f330f-ded4"), "the name of the attestation service");
    let mut modified = bytes.clone();
    *modified.last_mut().unwrap() ^= 1;
    assert!(refused(2, &modified).contains("its content gives"));
    assert!(refused(3, &bytes).contains("is of vendor 2, its owner is vendor 3"));
    let unplaced = fs::read(&PROBE.as_ref().unwrap().path).unwrap();
    assert!(refused(2, &unplaced).contains("names no owner and vendor"));
    assert!(refused(2, &sign_module(&KEY, 2, &bytes).unwrap()).contains("no image"), "a signed one");
    assert!(refused(2, b"").contains("no image"));
    let mut service = bytes.clone();
    service[head + 20] = 1 << 2;
    assert!(refused(2, &service).contains("head"), "a single instance for all would mix owners");
}

/// A head that lies elsewhere would leave 16 bytes of the attacker's choice unmeasured.
#[test]
fn the_place_of_the_name_is_not_the_images_to_choose() {
    let Some(bytes) = placed(2) else { return };
    // The first program header: its offset is at 8, its address at 16.
    for at in [64 + 8, 64 + 16] {
        let mut moved = bytes.clone();
        moved[at + 1] ^= 0x10;
        assert!(judge(&moved).is_err(), "the first segment is elsewhere");
    }
}

/// Where OP-TEE's own signing script is, it judges ours; its key pair comes with it.
#[test]
fn op_tees_own_script_accepts_what_we_sign_and_nothing_else() {
    let Some((script, pem)) = script() else { return };
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::from_pem(&pkcs8(&pem, folder.path())).unwrap();
    let Some(image) = placed(2) else { return };
    let signed = sign_module(&key, 2, &image).unwrap();
    let uuid = judge(&image).unwrap().uuid.to_string();
    assert!(verifies(&script, &pem, &uuid, &signed, folder.path()));
    assert!(!verifies(&script, &pem, &service::UUID.to_string(), &signed, folder.path()), "another name");
    for at in [20, 52, 52 + 256, 52 + 256 + 16, signed.len() - 1] {
        let mut changed = signed.clone();
        changed[at] ^= 1;
        assert!(!verifies(&script, &pem, &uuid, &changed, folder.path()), "byte {at} is changed");
    }
    let other = sign_module(&KEY, 2, &image).unwrap();
    assert!(!verifies(&script, &pem, &uuid, &other, folder.path()), "another key");
}

/// The kit's script and key, where `TA_DEV_KIT_DIR` names a kit and Python can run it.
fn script() -> Option<(PathBuf, PathBuf)> {
    let kit = std::env::var_os("TA_DEV_KIT_DIR").map(PathBuf::from);
    let runs = Command::new("python3").args(["-c", "import cryptography"]).output();
    let runs = runs.is_ok_and(|output| output.status.success());
    let found = kit.filter(|kit| runs && kit.join("scripts/sign_encrypt.py").is_file());
    if found.is_none() {
        eprintln!("skipped: TA_DEV_KIT_DIR names no kit of OP-TEE, or Python's `cryptography` is missing");
    }
    found.map(|kit| (kit.join("scripts/sign_encrypt.py"), kit.join("keys/default_ta.pem")))
}

fn pkcs8(pem: &Path, folder: &Path) -> String {
    let out = folder.join("pkcs8.pem");
    let program = "import sys; from cryptography.hazmat.primitives import serialization as s; \
                   key = s.load_pem_private_key(open(sys.argv[1], 'rb').read(), None); \
                   open(sys.argv[2], 'wb').write(key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()))";
    assert!(Command::new("python3").args(["-c", program]).arg(pem).arg(&out).status().unwrap().success());
    fs::read_to_string(out).unwrap()
}

fn verifies(script: &Path, key: &Path, uuid: &str, signed: &[u8], folder: &Path) -> bool {
    let path = folder.join("signed.ta");
    fs::write(&path, signed).unwrap();
    let mut command = Command::new("python3");
    command.arg(script).args(["verify", "--uuid", uuid, "--key"]).arg(key).arg("--in").arg(&path);
    command.output().unwrap().status.success()
}

#[test]
fn a_signing_key_survives_its_file_and_has_a_modulus_of_its_length() {
    let again = SigningKey::from_pem(&KEY.to_pem().unwrap()).unwrap();
    assert_eq!(again.modulus(), KEY.modulus());
    assert_eq!(KEY.modulus().len(), 256);
    assert!(KEY.modulus()[0] & 0x80 != 0, "no leading zeros");
    assert!(SigningKey::generate(1024).is_err());
    assert!(SigningKey::from_pem("no key").is_err());
}

#[test]
fn the_service_is_signed_under_its_own_name_only() {
    let builder = TrustzoneBuilder::new(repository());
    let program = match builder.build_service(&target(), &|_| ()) {
        Ok(program) => program,
        Err(error) if skipped(&error) => return,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(judge(&program), Err(BadContent::Head), "it is no module");
    let signed = sign_service(&KEY, &program).unwrap();
    assert_eq!(signed[52 + 256..52 + 272], service::UUID.0);
    assert!(signed == sign_service(&KEY, &program).unwrap(), "signed again it is the same image");
    assert!(signed != sign_service(&SigningKey::generate(2048).unwrap(), &program).unwrap());
    assert!(signed.ends_with(&program));
}

#[test]
fn a_module_that_does_not_compile_says_why() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    let manifest = "[package]\nname = \"broken\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    fs::write(folder.path().join("src/lib.rs"), "#![no_std]\nfn broken() -> u8 { \"text\" }\n").unwrap();
    let error = build(&repository(), "broken", folder.path(), &folder.path().join("target"), 1).unwrap_err();
    let says = matches!(&error, PlatformError::Build { output, .. } if output.contains("mismatched types"));
    assert!(says || skipped(&error), "{error}");
}

/// An owner compares the name of what he builds with what a node runs: it must not tell where he built it.
#[test]
fn equal_sources_give_equal_images_wherever_they_are_built() {
    let images = ["first", "the-second-is-elsewhere"].map(|name| {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join(name);
        let framework = place.join("framework");
        fs::create_dir_all(&framework).unwrap();
        copy_framework(&framework);
        let source = framework.join("testkit/probe");
        match build(&framework, "probe", &source, &place.join("target"), 7) {
            Ok(built) => Some((fs::read(built.path).unwrap(), place.to_string_lossy().into_owned())),
            Err(error) if skipped(&error) => None,
            Err(error) => panic!("{error}"),
        }
    });
    let [Some((first, place)), Some((second, _))] = images else { return };
    assert!(
        first == second,
        "the images differ: {:?}",
        first.iter().zip(&second).position(|(one, other)| one != other)
    );
    assert!(!first.windows(place.len()).any(|window| window == place.as_bytes()), "{place} is in the image");
}

/// Copies what images are built of.
fn copy_framework(to: &Path) {
    let from = repository();
    for file in ["Cargo.toml", "Cargo.lock"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    for folder in [
        "trusted",
        "ciphers",
        "sdk/rust",
        "sdk/macros",
        "testkit/probe",
        "backends/trustzone/runtime",
        "backends/trustzone/format",
    ] {
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
