//! The emulator against recordings of the hardware.

use std::path::PathBuf;

/// The folder of the vectors: that of the repository, or another one that the environment names.
fn folder() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../vectors/sancus");
    std::env::var_os("VERITEE_SANCUS_VECTORS").map_or(own, PathBuf::from)
}

#[test]
fn emulator_does_what_the_hardware_did() {
    let summary = veritee_golden::run_folder(&folder()).unwrap();
    assert_eq!(summary.failures, []);
    assert!(summary.passed >= 500, "only {} vectors", summary.passed);
}

#[test]
fn runner_notices_a_wrong_cycle_register_and_byte() {
    let line = |cycles: u64, register: u16, byte: &str| {
        format!(
            r#"{{"name":"one","core":"legacy","mem":{{"5c00":"3440cd ab82440002ff3f","fffe":"005c"}},
            "stop":{{"kind":"pc","addr":"5c08"}},"max_cycles":100,
            "expect":{{"cycles":{cycles},"regs":[23560,0,0,0,{register},0,0,0,0,0,0,0,0,0,0,0],"mem":{{"0200":"{byte}ab"}},
            "violations":[],"irqs":[],"p1out":[],
            "sm":{{"current":0,"previous":65535,"next":1,"table":[]}}}}}}"#
        )
        .replace("cd ab", "cdab")
    };
    let complaints = |text: &str| {
        let test = serde_json::from_str(text).unwrap();
        veritee_golden::machine::run(&test).unwrap()
    };
    assert_eq!(complaints(&line(6, 0xabcd, "cd")), [""; 0]);
    assert_eq!(complaints(&line(7, 0xabcd, "cd")), ["cycles: 6, expected 7"]);
    assert_eq!(complaints(&line(6, 0xabcc, "cd")), ["r4: abcd, expected abcc"]);
    assert_eq!(complaints(&line(6, 0xabcd, "cc")), ["memory 0200: cd, expected cc"]);
}
