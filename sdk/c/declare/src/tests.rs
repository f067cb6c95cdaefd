use crate::{Compiler, Module, read};
use std::fs;
use std::path::{Path, PathBuf};
use veritee::Message as _;
use veritee::{Bytes, Payload};
use veritee_platform::PortTable;
use veritee_wire::ports::{PortInfo, encode_table, table_bytes};

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn read_folder(folder: &Path) -> Result<Module, String> {
    let compiler = Compiler::host().unwrap();
    read(folder, &repository().join("sdk/c"), &compiler).map_err(|error| error.to_string())
}

/// Reads a module of one file; `#include <veritee.h>` is its first line.
fn read_text(text: &str) -> Result<Module, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("module.c"), format!("#include <veritee.h>\n{text}\n")).unwrap();
    read_folder(folder.path())
}

/// What is wrong with a module of one file.
#[track_caller]
fn mistake(text: &str) -> String {
    read_text(text).expect_err("it was accepted")
}

#[derive(Payload, Clone, Copy)]
#[repr(u8)]
enum Switch {
    Off = 0,
    On = 1,
    Broken = 7,
}

#[derive(Payload, Clone, Copy)]
#[repr(i16)]
enum Level {
    Low = -3,
    High = 300,
}

#[derive(Payload, Clone, Copy)]
struct Point {
    x: i16,
    y: u32,
}

#[derive(Payload, Clone, Copy)]
struct Everything {
    small: u8,
    yes: bool,
    many: [u64; 3],
    place: Point,
    switches: [Switch; 4],
    level: Level,
    text: Bytes<21>,
}

const EVERYTHING: &str = "
    #define COUNT 3
    VT_ENUM(Switch, uint8_t, { Switch_Off = 0, Switch_On = 1, Broken = 0x7 });
    VT_ENUM(Level, int16_t, { Level_Low = -3, Level_High = 300 });
    VT_STRUCT(Point, { int16_t x; uint32_t y; });
    VT_STRUCT(Everything, {
        uint8_t small;
        bool yes;
        uint64_t many[COUNT];
        Point place;
        Switch switches[4];
        Level level;
        VT_BYTES(7 * 3) text;
    });
    VT_INPUT(all, Everything, event) { }";

#[test]
fn types_have_the_name_hash_and_length_of_those_in_rust() {
    let text = EVERYTHING.replace("7 * 3", "21");
    let module = read_text(&text).unwrap();
    let payload = &module.ports[0].payload;
    assert_eq!((payload.name.as_str(), payload.hash), (Everything::NAME, Everything::HASH.0));
    assert_eq!(payload.bytes, <Everything as veritee::Layout>::BYTES);
    for (name, hash) in [("Switch", Switch::HASH), ("Level", Level::HASH), ("Point", Point::HASH)] {
        let module = read_text(&text.replace("all, Everything", &format!("all, {name}"))).unwrap();
        assert_eq!(module.ports[0].payload.hash, hash.0, "{name}");
    }
    let used = Everything {
        small: 1,
        yes: true,
        many: [1; 3],
        place: Point { x: 1, y: 2 },
        switches: [Switch::Off, Switch::On, Switch::Broken, Switch::On],
        level: if payload.bytes > 3 { Level::High } else { Level::Low },
        text: Bytes::default(),
    };
    used.give(|bytes| assert!(bytes.len() < payload.bytes));
}

#[test]
fn another_name_order_or_length_is_another_type() {
    let hash = |text: &str| read_text(&format!("{text}\nVT_INPUT(in, T, event) {{ }}")).unwrap().ports[0].payload.hash;
    let hashes = [
        "VT_STRUCT(T, { int16_t a; int16_t b; });",
        "VT_STRUCT(T, { int16_t b; int16_t a; });",
        "VT_STRUCT(T, { int16_t a; uint16_t b; });",
        "VT_STRUCT(T, { int16_t a[2]; });",
        "VT_STRUCT(T, { VT_BYTES(2) a; });",
        "VT_STRUCT(T, { });",
        "VT_ENUM(T, uint8_t, { T_A = 0 });",
        "VT_ENUM(T, uint8_t, { T_A = 1 });",
        "VT_ENUM(T, uint16_t, { T_A = 1 });",
    ]
    .map(hash);
    for (index, hash) in hashes.iter().enumerate() {
        assert!(!hashes[..index].contains(hash), "{index}");
    }
    assert_eq!(hash("VT_ENUM(T, uint8_t, { A = 1 });"), hash("VT_ENUM(T, uint8_t, { T_A = 1 });"));
}

#[test]
fn the_table_has_the_bytes_of_rust() {
    const PORTS: &[PortInfo] = <veritee_probe::Probe as veritee_module::Program>::PORTS;
    let rust: [u8; table_bytes(PORTS.len())] = encode_table(PORTS, 12, 2, 4);
    let module = read_folder(&repository().join("testkit/probe/c")).unwrap();
    assert_eq!(module.table(), rust);
    assert_eq!(PortTable::decode(&module.table()).unwrap().ports.len(), 7);
}

#[test]
fn capacities_follow_from_the_declarations() {
    let module = read_text(
        "VT_STRUCT(Big, { uint8_t bytes[200]; });
         VT_MODULE(rows = 3, exclusive);
         VT_OUTPUT(out, Big, emits = 2);
         VT_INPUT(in, Big, event) { }
         VT_POLL() { emit_out((Big){0}); }",
    )
    .unwrap();
    assert_eq!((module.rows, module.tokens, module.exclusive, module.poll), (3, 0, true, true));
    let header = module.header();
    for line in ["VT_ROWS 3u", "VT_TOKENS 0u", "VT_IN_BYTES 200u", "VT_OUT_BYTES 200u", "VT_EXCLUSIVE 1u"] {
        assert!(header.contains(&format!("#define {line}\n")), "{header}");
    }
    // 2 * (record header 8, frame header 16, payload 200, tag 16).
    assert!(module.source().contains("{2, 480, 200, VT_FIXED"), "{}", module.source());
}

#[test]
fn a_header_of_several_sources_declares_once() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("messages.h", "#include <veritee.h>\nVT_STRUCT(T, { int16_t a; });\n");
    write("a.c", "#include \"messages.h\"\nVT_OUTPUT(out, T);\n");
    write("b.c", "#include \"./messages.h\"\nVT_INPUT(in, T, event) { }\n");
    let module = read_folder(folder.path()).unwrap();
    let names: Vec<&str> = module.ports.iter().map(|port| port.name.as_str()).collect();
    assert_eq!(names, ["out", "in"], "files in the order of their names");
}

#[test]
fn text_that_looks_like_a_declaration_is_none() {
    let module =
        read_text("const char *text = \"veritee_declared(1)\"; // VT_OUTPUT(a, b)\nchar quote = '\"';").unwrap();
    assert!(module.ports.is_empty());
}

/// Each mistake with its one message.
#[test]
fn mistakes_say_where_they_are_and_what_to_do() {
    let cases = [
        (
            "VT_STRUCT(T, { uint8_t a; uint16_t b; });",
            "module.c:2: field `b` of `T` lies at the odd offset 1; put `uint8_t reserved;` before it",
        ),
        (
            "\n\nVT_STRUCT(T, { float a; });",
            "module.c:4: field `a` of `T` has the type `float`, which has no fixed layout; there are uint8_t to uint64_t, \
             int8_t to int64_t, bool, arrays, VT_BYTES(n), and types of VT_STRUCT and VT_ENUM",
        ),
        (
            "VT_STRUCT(T, { VT_BYTES(4) a; uint8_t b; });",
            "module.c:2: field `b` of `T` stands behind a byte string; only the last field can be one",
        ),
        (
            "VT_STRUCT(I, { uint16_t a; uint8_t b; });\nVT_STRUCT(T, { I inner; uint8_t c; });",
            "module.c:3: field `inner` of `T` has an odd length, so `c` behind it would lie elsewhere in C; put it last",
        ),
        (
            "VT_STRUCT(T, { uint8_t a, b; });",
            "module.c:2: a field of `T` is `type name;` or `type name[4];`, one at a time",
        ),
        ("VT_STRUCT(T, int16_t a);", "module.c:2: write `VT_STRUCT(Name, { int16_t field; });`"),
        ("VT_ENUM(T, uint8_t, { T_A = 256 });", "module.c:2: 256 does not fit `T`, which is a uint8_t"),
        ("VT_ENUM(T, uint8_t, { T_A });", "module.c:2: each constant of `T` has a number: `T_First = 0`"),
        (
            "VT_ENUM(T, int, { T_A = 0 });",
            "module.c:2: the enum `T` is as long as uint8_t, uint16_t or uint32_t, not `int`",
        ),
        (
            "VT_STRUCT(T, { int16_t a; });\nVT_STRUCT(T, { int16_t b; });",
            "module.c:3: the type `T` was declared before, at module.c:2",
        ),
        (
            "VT_OUTPUT(out, Celsius);",
            "module.c:2: there is no payload type `Celsius`; declare it with `VT_STRUCT(Celsius, { … });` or VT_ENUM",
        ),
        (
            "VT_OUTPUT(out, uint8_t);",
            "module.c:2: a port cannot carry `uint8_t`: both ends are compared by name and layout; wrap it in a VT_STRUCT",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(mistake(text), expected);
    }
}

#[test]
fn mistakes_of_ports_say_what_to_do() {
    let message = "VT_STRUCT(T, { int16_t a; });\n";
    let cases = [
        ("VT_OUTPUT(out, T, emits = 0);", "module.c:3: one handler emits 1 to 4096 events on a port: `emits = 3`"),
        ("VT_INPUT(in, T) { }", "module.c:3: write `VT_INPUT(name, Type, event) { }`"),
        (
            "VT_OUTPUT(a, T);\nVT_INPUT(a, T, event) { }",
            "module.c:4: two ports are called `a`; the first one is at module.c:3",
        ),
        (
            "VT_REQUEST(ask, T, T);",
            "module.c:3: who goes on after the answer? write `VT_REPLY(ask, answer, refusal) { }`",
        ),
        ("VT_REPLY(ask, answer, refusal) { }", "module.c:3: there is no request `ask` in this module"),
        ("VT_LATE(in) { }", "module.c:3: there is no input `in` in this module"),
        (
            "VT_INPUT(in, T, event) { }\nVT_LATE(in) { }\nVT_LATE(in) { }",
            "module.c:5: `in` has a VT_LATE already; keep one of them",
        ),
        (
            "VT_ENTRY(press) { }",
            "module.c:3: anybody whom the node knows can call an entry, without authentication: say so with \
             `VT_ENTRY(public, …)`",
        ),
        (
            "VT_STRUCT(S, { uint8_t a; });\nVT_STATE(S, state);",
            "module.c:4: the state `state` has a fixed, even length, `S` has not: end it with `uint8_t reserved;` or with \
             an array",
        ),
        ("VT_START() { }\nVT_START() { }", "module.c:4: VT_START stands at module.c:3 already"),
        (
            "VT_MODULE(rows = 0);",
            "module.c:3: write `VT_MODULE(rows = 8, tokens = 2, exclusive);`, with 1 to 255 rows and 1 to 255 tokens",
        ),
        ("VT_OUTPUT(out, T", "module.c:3:"),
    ];
    for (text, expected) in cases {
        let found = mistake(&format!("{message}{text}"));
        assert!(found == expected || (expected.ends_with(':') && found.starts_with(expected)), "{found}");
    }
}

#[test]
fn a_missing_compiler_or_source_is_named() {
    let missing = Compiler::find(&["no-such-compiler"], &[], "clang").unwrap_err();
    assert_eq!(missing.to_string(), "a C compiler is missing: install Debian's package `clang`");
    let folder = tempfile::tempdir().unwrap();
    assert!(read_folder(folder.path()).unwrap_err().ends_with("has no C files"));
}
