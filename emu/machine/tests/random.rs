//! Programs made of random words, most of them instructions that reach devices and the protection unit: whatever firmware does, the
//! board goes on.

use proptest::prelude::*;
use veritee_machine::{Board, Config, Generation, Kinds, Profile, Security};

/// Words that make interesting things likely: addresses of devices, sections and the ends of memory; opcodes.
fn word() -> impl Strategy<Value = u16> {
    let devices = prop_oneof![0x00..0x60u16, 0x80..0x98u16, 0x120..0x140u16, 0x160..0x1d0u16];
    let memory = prop_oneof![0x200..0x220u16, 0x41f0..0x4210u16, 0x5bf0..0x5c80u16, 0xffc0..=0xffffu16];
    let opcodes = prop_oneof![
        0x1380..0x138au16,
        Just(0x1300),
        Just(0x4130),
        // mov and mov.b #N, &EDE; mov #N, Rn; add, bis and cmp on memory; bis #N, sr.
        Just(0x40b2),
        Just(0x40f2),
        0x4034..0x4040u16,
        0x5090..0x50a0u16,
        Just(0x40b1),
        Just(0xd032),
        0x1204..0x1240u16,
    ];
    prop_oneof![2 => devices, 2 => memory, 6 => opcodes, 2 => any::<u16>(), 1 => 0..16u16]
}

fn config() -> impl Strategy<Value = Config> {
    (any::<[bool; 4]>(), 1..4usize).prop_map(|([master, small, profile, reset_on_violation], slots)| Config {
        generation: if master { Generation::Master } else { Generation::Legacy },
        security: if small { Security::Bits64 } else { Security::Bits128 },
        profile: if profile { Profile::Veritee } else { Profile::Bare },
        slots,
        reset_on_violation,
        ..Config::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_firmware_runs(
        config in config(),
        words in proptest::collection::vec(word(), 8..400),
        steps in proptest::collection::vec(1..3_000u64, 1..12),
        bytes in proptest::collection::vec(any::<u8>(), 0..8),
    ) {
        let mut board = Board::new(config);
        for (place, word) in (0x5c00..).step_by(2).zip(&words) {
            board.load(place, &word.to_le_bytes());
        }
        for vector in (0xffe0..=0xfffeu16).step_by(2) {
            board.load(vector, &(0x5c00 | vector & 0x1e).to_le_bytes());
        }
        board.record(Kinds { instructions: true, control: true, outputs: true, bytes: true });
        board.power_up();
        for (count, step) in (0u8..).zip(&steps) {
            board.schedule_pins(1, board.cycle() + 3, count);
            bytes.iter().for_each(|byte| board.send_byte(*byte));
            board.schedule_byte(board.cycle(), count);
            let before = board.cycle();
            board.run_until(before + step);
            prop_assert!(board.cycle() > before, "time goes on");
            board.step();
            board.take_events();
        }
    }
}
