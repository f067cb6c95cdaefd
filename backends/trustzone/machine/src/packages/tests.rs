use super::{CORE, KIT, Packages, own_source, sources, versions};
use crate::MachineError;
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn the_machines_own_source_is_followed() {
    let etc = tempfile::tempdir().unwrap();
    fs::create_dir(etc.path().join("sources.list.d")).unwrap();
    let file = etc.path().join("sources.list.d/debian.sources");
    let stanza = "Types: deb\nURIs: http://mirror/debian-security\nSuites: one-security\nComponents: main\n\n\
                  Types: deb deb-src\nURIs: http://mirror/debian http://other/\nSuites: one one-updates\n\
                  Components: main\nSigned-By: /usr/share/keyrings/k.gpg\n";
    fs::write(&file, stanza).unwrap();
    let text = sources(etc.path(), "one").unwrap();
    assert!(text.contains("URIs: http://mirror/debian\nSuites: one trixie sid\n"), "{text}");
    assert!(text.contains("Signed-By: /usr/share/keyrings/k.gpg\n"), "{text}");
    assert!(sources(etc.path(), "two").is_err());
    fs::write(&file, stanza.replace("Types: deb deb-src", "Enabled: no\nTypes: deb")).unwrap();
    assert!(sources(etc.path(), "one").is_err());
}

#[test]
fn sources_of_one_line_are_read_too() {
    let etc = tempfile::tempdir().unwrap();
    let line = "# deb http://no/ one main\ndeb-src http://no/ one main\ndeb [arch=amd64 signed-by=/k.gpg] http://mirror/d one main\n";
    fs::write(etc.path().join("sources.list"), line).unwrap();
    assert_eq!(own_source(etc.path(), "one"), Some(("http://mirror/d".to_owned(), Some("/k.gpg".to_owned()))));
    assert_eq!(own_source(etc.path(), "other"), None);
}

#[test]
fn versions_are_read_with_their_suites() {
    let text = " optee-os | 4.10.0-2 | http://mirror/debian sid/main arm64 Packages\n optee-os |  4.5.0-2 | http://mirror/debian trixie/main arm64 Packages\n";
    let found = versions(text);
    assert_eq!(found, [("4.10.0-2".to_owned(), "sid".to_owned()), ("4.5.0-2".to_owned(), "trixie".to_owned())]);
}

/// Makes a package that has a single file, named after it, below `usr`.
fn package(folder: &Path, name: &str, version: &str, architecture: &str) {
    let tree = tempfile::tempdir().unwrap();
    for below in ["DEBIAN", "usr"] {
        fs::create_dir(tree.path().join(below)).unwrap();
    }
    fs::write(tree.path().join("usr").join(name), version).unwrap();
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: nobody\nDescription: nothing\n"
    );
    fs::write(tree.path().join("DEBIAN/control"), control).unwrap();
    let file = folder.join(format!("{name}_{version}_{architecture}.deb"));
    let made = Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).args([tree.path(), &file]).output();
    let made = made.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Whether packages cannot be made here, nor taken; says so.
fn skipped() -> bool {
    let skipped = Command::new("dpkg-deb").arg("--version").output().is_err();
    if skipped {
        eprintln!("skipped: there is no dpkg-deb");
    }
    skipped
}

const KERNEL: &str = "linux-image-3-cloud-arm64";

#[test]
fn core_and_kit_of_a_folder_must_have_the_same_version() {
    if skipped() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (debs, unpacked) = (folder.path().join("debs"), folder.path().join("unpacked"));
    fs::create_dir(&debs).unwrap();
    package(&debs, CORE, "1", "arm64");
    package(&debs, KIT, "2", "arm64");
    package(&debs, KERNEL, "3", "arm64");
    let refused = Packages::from_folder(&debs, &unpacked).unwrap_err();
    let told = "the core is 1, the kit is 2: both must be the same";
    assert!(matches!(&refused, MachineError::BadPart { reason, .. } if reason == told), "{refused}");
    assert!(!unpacked.exists(), "nothing is unpacked of what does not fit");

    package(&debs, CORE, "2", "arm64");
    let packages = Packages::from_folder(&debs, &unpacked).unwrap();
    assert_eq!((packages.optee_version.as_str(), packages.kernel_version.as_str()), ("2", "3"));
    for (name, version) in [(CORE, "2"), (KIT, "2"), (KERNEL, "3")] {
        let part = if name == KERNEL { super::KERNEL } else { name };
        assert_eq!(fs::read_to_string(packages.folder.join(part).join("usr").join(name)).unwrap(), version);
    }
}

#[test]
fn a_package_for_another_processor_is_none() {
    if skipped() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    package(folder.path(), CORE, "1", "arm64");
    package(folder.path(), KIT, "1", "amd64");
    package(folder.path(), KERNEL, "3", "arm64");
    let refused = Packages::from_folder(folder.path(), &folder.path().join("unpacked")).unwrap_err();
    assert!(matches!(&refused, MachineError::Missing { what, .. } if what == KIT), "{refused}");
}
