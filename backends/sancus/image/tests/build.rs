//! Building modules and boards: what comes out, and what is refused.
#![allow(clippy::unwrap_used, reason = "tests")]

mod rig;

use rig::{image, probe, probe_at, root, tools};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use veritee_sancus_image::{
    BoardImage, BoardPlan, Code, ImageError, ModuleSource, Placement, Relocatable, Tools, identity,
};

/// A module without the core, of one file.
fn build(code: &str) -> Result<Relocatable, ImageError> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("module.c");
    fs::write(&file, code).unwrap();
    ModuleSource { code: Code::Coreless(vec![file]), ..ModuleSource::new("m", Path::new("")) }.compile(tools())
}

const ENTER: &str = "unsigned vt_enter(unsigned op, unsigned input, unsigned bytes, unsigned output, unsigned room)";

fn place(text_address: u16, secret_address: u16) -> Placement {
    Placement { text_address, text_bytes: 0x2000, secret_address, secret_bytes: 0x1000 }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The parts of the framework that images are built from, somewhere else.
fn elsewhere(folder: &Path) -> PathBuf {
    let framework = folder.join("framework");
    for part in ["backends/sancus/board", "sdk/c"] {
        copy(&root().join(part), &framework.join(part));
    }
    copy(&root().join("testkit/probe/c"), &folder.join("author"));
    framework
}

#[test]
fn equal_sources_give_equal_bytes_wherever_they_are() {
    let built = || {
        let folder = TempDir::new().unwrap();
        let framework = elsewhere(folder.path());
        let tools = Tools::find(&framework).unwrap();
        let module = ModuleSource::new("probe", &folder.path().join("author")).compile(&tools).unwrap();
        let linked = module.place(&tools, Placement { text_bytes: 0x4000, ..place(0x7000, 0x1000) }).unwrap();
        let plan = BoardPlan { drivers: vec!["led".to_owned()], ..toml::from_str("vendor = 1").unwrap() };
        (linked, BoardImage::build(&plan, &tools).unwrap())
    };
    let (first, second) = (built(), built());
    assert_eq!(first.0, second.0);
    assert_eq!(first.1.manifest(), second.1.manifest());
    assert!(first.1.elf == second.1.elf, "the board's file has something of the folder in it");
}

#[test]
fn a_placement_changes_addresses_and_nothing_else() {
    let (here, there) = (probe_at(0x8000, 0x2000), probe_at(0x9002, 0x2804));
    assert_eq!(here.text.len(), there.text.len());
    assert_eq!(here.secret_bytes, there.secret_bytes);
    assert_ne!(here.text, there.text);
    for (one, other) in here.symbols.iter().zip(&there.symbols) {
        assert_eq!(one.name, other.name);
        let moved = if one.address < 0x8000 { 0x0804 } else { 0x1002 };
        assert_eq!(one.address + moved, other.address, "{}", one.name);
    }
    assert_eq!((here.symbol("vt_entry"), here.symbol("vt_secret_start")), (Some(0x8000), Some(0x2000)));
}

#[test]
fn an_identity_is_the_text_and_its_bounds() {
    let bytes = identity(0x8000, &[1, 2, 3, 4], 0x2000, 0x10);
    assert_eq!(bytes, [1, 2, 3, 4, 0x00, 0x80, 0x04, 0x80, 0x00, 0x20, 0x10, 0x20]);
    let module = probe_at(0x8000, 0x2000);
    assert_eq!(module.identity()[..module.text.len()], module.text);
}

#[test]
fn a_module_that_is_too_big_says_by_how_much() {
    let need = probe().need();
    let full = Placement { text_bytes: need.text_bytes - 2, ..place(0x8000, 0x2000) };
    let error = probe().place(tools(), full).unwrap_err();
    assert!(matches!(error, ImageError::TooBig { section: "text", .. }));
    let expected = format!("needs {} bytes, free are {}", need.text_bytes, need.text_bytes - 2);
    assert!(error.to_string().contains(&expected), "{error}");
    let full = Placement { secret_bytes: need.secret_bytes - 2, ..place(0x8000, 0x2000) };
    assert!(matches!(probe().place(tools(), full), Err(ImageError::TooBig { section: "secret section", .. })));
}

#[test]
fn a_module_beyond_all_memory_says_how_long_it_is() {
    let sizes = [
        ("const unsigned char table[60000] = { 1 };", "its text needs 60"),
        ("static unsigned char table[65000];", "its secret section needs 65"),
    ];
    for (table, expected) in sizes {
        let code = format!("{table}\n{ENTER} {{ return table[op] + (unsigned)&table[input]; }}");
        let error = build(&code).unwrap_err();
        assert!(matches!(error, ImageError::TooBig { .. }), "{error}");
        assert!(error.to_string().contains(expected) && !error.to_string().contains('\n'), "{error}");
    }
}

#[test]
fn odd_addresses_and_the_end_of_memory_are_refused() {
    for place in [place(0x8001, 0x2000), place(0x8000, 0x2001), place(0xfff0, 0x2000), place(0x8000, 0xfff0)] {
        assert!(matches!(probe().place(tools(), place), Err(ImageError::Address { .. })), "{place:x?}");
    }
}

#[test]
fn an_initialised_variable_is_refused() {
    let error = build(&format!("unsigned start = 5; {ENTER} {{ return start++ + op; }}")).unwrap_err();
    assert!(matches!(error, ImageError::InitialisedVariable { .. }), "{error}");
    build(&format!("unsigned start = 0; {ENTER} {{ return start++ + op; }}")).unwrap();
    build(&format!("static const unsigned table[] = {{5, 6}}; {ENTER} {{ return table[op & 1]; }}")).unwrap();
}

#[test]
fn a_function_that_is_nowhere_is_refused_by_its_name() {
    let error = build(&format!("unsigned printf(); {ENTER} {{ return printf(op); }}")).unwrap_err();
    assert!(matches!(&error, ImageError::Tool { said, .. } if said.contains("printf")), "{error}");
}

#[test]
fn a_reference_out_of_the_module_is_refused() {
    let folder = TempDir::new().unwrap();
    let files = ["module.c", "elsewhere.S"].map(|name| folder.path().join(name));
    let build = |symbol: &str| {
        fs::write(&files[0], format!("unsigned {symbol}(); {ENTER} {{ return {symbol}(); }}")).unwrap();
        fs::write(&files[1], format!(".global {symbol}\n.set {symbol}, 0x5c00\n")).unwrap();
        ModuleSource { code: Code::Coreless(files.to_vec()), ..ModuleSource::new("m", Path::new("")) }.compile(tools())
    };
    let error = build("firmware").unwrap_err();
    assert!(matches!(&error, ImageError::Outside { symbol, address: 0x5c00, .. } if symbol == "firmware"), "{error}");
    // An allowed name stays where it is on every board.
    build("vt_freshness").unwrap();
}

#[test]
fn a_section_of_its_own_is_refused() {
    let code = format!("__attribute__((section(\".mine\"))) unsigned mine = 1; {ENTER} {{ return mine++; }}");
    assert!(matches!(build(&code), Err(ImageError::Unexpected { .. })));
}

#[test]
fn a_mistake_in_a_declaration_is_told_with_its_place() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("m.c"), "#include \"veritee.h\"\n\nVT_INPUT(heat, Nowhere, now) {}\n").unwrap();
    let error = ModuleSource::new("m", folder.path()).compile(tools()).unwrap_err();
    assert!(matches!(error, ImageError::Declarations { .. }));
    assert!(error.to_string().contains("m.c:3"), "{error}");
}

#[test]
fn a_missing_tool_is_named_with_its_package() {
    let error = ImageError::MissingTool { tool: "ld.lld".to_owned() };
    assert!(error.to_string().contains("ld.lld") && error.to_string().contains("`clang` and `lld`"));
}

#[test]
fn a_board_has_its_drivers_in_the_order_of_the_plan() {
    let board = image(&["button", "led"]);
    let ids: Vec<_> = board.drivers.iter().map(|built| (built.name.as_str(), built.device_id, built.id)).collect();
    assert_eq!(ids, [("button", 2, 3), ("led", 4, 5)]);
    let mut text = board.symbol("board").unwrap();
    for built in &board.drivers {
        assert!(built.device.text_address >= text);
        assert_eq!(built.driver.text_address, built.device.text_end());
        text = built.driver.text_end();
    }
    assert_eq!(board.text_free, (text, 0xfc00));
    let manifest: toml::Table = board.manifest().parse().unwrap();
    let drivers = manifest["driver"].as_array().unwrap();
    let identity = drivers[1]["identity"].as_str().unwrap();
    assert_eq!(identity.len(), 2 * board.drivers[1].driver.identity().len());
}

#[test]
fn plans_that_make_no_sense_are_refused() {
    let plan = |text: &str| BoardImage::build(&toml::from_str(text).unwrap(), tools());
    for text in [
        "vendor = 1\ndrivers = ['nobody']",
        "vendor = 1\ndrivers = ['../led']",
        "vendor = 1\ndrivers = ['led', 'led']",
        "vendor = 1\ndrivers = ['led']\nslots = 3",
        "vendor = 1\nmemory = { ram = 16384, rom = 50000 }",
        "vendor = 1\nmemory = { ram = 16383, rom = 41984 }",
    ] {
        assert!(matches!(plan(text), Err(ImageError::Plan(_))), "{text}");
    }
    assert!(toml::from_str::<BoardPlan>("vendor = 1\ncolour = 'green'").is_err());
    let error = plan("vendor = 1\nslots = 16\nmemory = { ram = 16384, rom = 20480 }\ndrivers = ['led', 'valve']");
    assert!(matches!(error, Err(ImageError::TooBig { .. })));
}
