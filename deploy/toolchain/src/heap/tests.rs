use super::{Heap, bytes, hint};

fn asked(line: &str) -> Result<Option<Heap>, String> {
    Heap::of(&format!("[package]\nname = \"m\"\n[package.metadata.veritee]\n{line}\n").parse().unwrap())
}

#[test]
fn a_size_is_a_number_with_its_unit() {
    let sizes = [("1K", 1 << 10), ("64K", 64 << 10), ("1M", 1 << 20), ("16M", 16 << 20), ("16384K", 16 << 20)];
    for (size, bytes) in sizes {
        assert_eq!(asked(&format!("heap = {size:?}")), Ok(Some(Heap { bytes })), "{size}");
    }
}

#[test]
fn who_does_not_ask_gets_none() {
    assert_eq!(asked(""), Ok(None));
    assert_eq!(asked("[package.metadata.veritee.sgx]\nhardened = true"), Ok(None));
    assert_eq!(Heap::of(&"[package]\nname = \"m\"\n".parse().unwrap()), Ok(None));
}

#[test]
fn malformed_and_absurd_sizes_are_refused_with_what_was_written() {
    let numbers = ["0", "0K", "0M", "17M", "16385K", "64", "65536", "-1K", "+1K", "1.5M", "99999999999999999999K"];
    let words = ["64k", "64KB", "64 K", "K", "", "lots", "1é"];
    let texts = numbers.into_iter().chain(words).map(|size| format!("{size:?}"));
    for wrong in texts.chain(["65536", "0", "true", "[]"].map(str::to_owned)) {
        let refusal = asked(&format!("heap = {wrong}")).unwrap_err();
        assert!(refusal.contains(&format!("`heap = {wrong}` in its manifest is no size from")), "{refusal}");
    }
    assert_eq!(bytes(&format!("{}M", usize::MAX)), None, "it does not wrap");
}

#[test]
fn only_a_missing_allocator_gets_the_hint() {
    let missing =
        "error: no global memory allocator found but one is required; link to std or add `#[global_allocator]`";
    assert!(hint(missing).is_some_and(|hint| hint.contains("heap = \"64K\"")));
    assert_eq!(hint("error[E0308]: mismatched types"), None);
}
