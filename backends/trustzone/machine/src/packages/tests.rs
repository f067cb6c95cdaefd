use super::{own_source, sources, versions};
use std::fs;

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
