use super::apply;
use crate::grammar::Variant;
use std::path::Path;
use veritee_model::Descriptor;

fn descriptor() -> Descriptor {
    let text = "application: a\nnodes:\n  desk: { platform: native }\n  shelf: { platform: native }\nmodules:\n  \
                button: { node: desk, source: { rust: button } }\n  lamp: { node: shelf, driver: led }\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("veritee.yaml");
    std::fs::write(&file, text).unwrap();
    Descriptor::read(&file).unwrap()
}

fn with(platform: &[&str], source: &[&str]) -> Result<Descriptor, String> {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let mut descriptor = descriptor();
    let variant = Variant { platform: words(platform), source: words(source) };
    apply(&variant, &mut descriptor).map(|()| descriptor).map_err(|error| format!("{error:#}"))
}

#[test]
fn a_source_in_another_language_takes_the_place_of_the_descriptors() {
    let source = with(&[], &["button=c:button_c"]).unwrap().modules["button"].source.clone();
    assert_eq!((source.rust, source.c.as_deref()), (None, Some(Path::new("button_c"))));
}

#[test]
fn a_kind_of_tee_is_for_one_node_or_for_all() {
    let kinds = |platform: &[&str]| {
        let descriptor = with(platform, &[]).unwrap();
        ["desk", "shelf"].map(|node| descriptor.nodes[node].platform.clone())
    };
    assert_eq!(kinds(&["shelf=sgx"]), ["native", "sgx"]);
    assert_eq!(kinds(&["sgx", "desk=native"]), ["native", "sgx"]);
}

#[test]
fn a_wish_that_cannot_be_is_told() {
    let cases = [
        ("button", "MODULE=LANGUAGE:FOLDER"),
        ("button=c", "MODULE=LANGUAGE:FOLDER"),
        ("button=c:", "MODULE=LANGUAGE:FOLDER"),
        ("button=go:folder", "no language \"go\""),
        ("lamp=c:folder", "driver"),
        ("bottun=c:folder", "button"),
    ];
    for (wish, told) in cases {
        let reason = with(&[], &[wish]).unwrap_err();
        assert!(reason.contains(told) && reason.contains(wish), "{wish}: {reason}");
    }
    assert!(with(&["desc=sgx"], &[]).unwrap_err().contains("desk"));
}
