//! Every target on some bytes: a promise that is broken already there needs no fuzzer to be found.

use crate::{boundary, layouts, links, module, ports, protocol};

/// Small deterministic randomness (splitmix64).
struct Dice(u64);

impl Dice {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Arbitrary bytes; in every second row small numbers are frequent, as codes and lengths are small.
    fn bytes(&mut self) -> Vec<u8> {
        let length = self.word() % 512;
        let small = self.word().is_multiple_of(2);
        (0..length)
            .map(|_| {
                let byte = self.word().to_le_bytes();
                if small && byte[1].is_multiple_of(2) { byte[0] % 16 } else { byte[0] }
            })
            .collect()
    }
}

fn try_some(seed: u64, target: fn(&[u8])) {
    let mut dice = Dice(seed);
    target(&[]);
    for _ in 0..20_000 {
        target(&dice.bytes());
    }
}

#[test]
fn a_module_keeps_its_promises() {
    try_some(1, module);
}

#[test]
fn an_enclaves_wall_keeps_its_promises() {
    try_some(6, boundary);
}

/// Who is inside is answered, who comes meanwhile is not, and afterwards the enclave can be entered again.
#[test]
fn an_enclave_is_entered_by_one_at_a_time() {
    let entries = crate::boundary::contended();
    assert_eq!(entries.len(), 3);
    for ([outcome, written, taken], others) in entries {
        assert_eq!((outcome, taken), (0, 1));
        assert!(written > 400, "a report leaves, not {written} bytes");
        assert_eq!(others, 2, "two tried while the enclave asked for its report");
    }
}

#[test]
fn layouts_keep_their_promises() {
    try_some(2, layouts);
}

#[test]
fn messages_keep_their_promises() {
    try_some(3, protocol);
}

#[test]
fn a_router_keeps_its_promises() {
    try_some(4, links);
}

#[test]
fn port_tables_keep_their_promises() {
    try_some(5, ports);
    let table = veritee_wire::ports::encode_table::<{ veritee_wire::ports::table_bytes(7) }>(
        <veritee_conformance::probe::Probe as veritee_module::Program>::PORTS.first_chunk::<7>().unwrap(),
        12,
        2,
        4,
    );
    ports(&table);
    for at in 0..table.len() {
        let mut changed = table;
        changed[at] ^= 0xff;
        ports(&changed);
    }
}
