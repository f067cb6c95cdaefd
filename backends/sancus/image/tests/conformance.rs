//! The suite that every platform must pass, against the probe in C: compiled for the board, behind its wall, entered on the
//! emulator as firmware enters it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod rig;

use rig::attacker::{Attacker, End, Entry};
use rig::{image, module_key, root, tools};
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use veritee_c_core::{short_form, short_form_carries};
use veritee_conformance::{CASES, Subject, run_all};
use veritee_ids::{CipherId, Op};
use veritee_machine::{Profile, SharedCounter};
use veritee_sancus_image::{BoardImage, Linked, ModuleSource, Placement};
use veritee_session::Kdf;

const VENDOR: u16 = 7;
/// All boards of the suite are one board, reset: its persistent counter goes on.
static COUNT: AtomicU64 = AtomicU64::new(0);
/// Memory for what goes in and out, above the module's secret section.
const INPUT: u16 = 0x2c00;
const OUTPUT: u16 = 0x3000;
const ROOM: u16 = 0x0d00;

fn plain() -> &'static BoardImage {
    static IMAGE: OnceLock<BoardImage> = OnceLock::new();
    IMAGE.get_or_init(|| image(&[]))
}

/// The probe in C, after stage 0 and the firmware.
fn probe() -> &'static Linked {
    static PROBE: OnceLock<Linked> = OnceLock::new();
    PROBE.get_or_init(|| {
        let source = ModuleSource::new("probe", &root().join("testkit/probe/c"));
        let relocatable = source.compile(tools()).unwrap();
        let (text_address, secret_address) = (plain().text_free.0, plain().secret_free.0);
        let place = Placement {
            text_address,
            text_bytes: plain().text_free.1 - text_address,
            secret_address,
            secret_bytes: INPUT - secret_address,
        };
        relocatable.place(tools(), place).unwrap()
    })
}

struct OnBoard {
    attacker: Attacker,
}

impl OnBoard {
    fn new() -> Self {
        let mut attacker = Attacker::on(Profile::Veritee, plain());
        attacker.board.set_freshness(SharedCounter(&COUNT));
        // One case emits a hundred thousand events in one entry.
        attacker.patience = 2_000_000_000;
        assert_ne!(attacker.enable(probe(), VENDOR), 0);
        Self { attacker }
    }
}

impl Subject for OnBoard {
    fn enter(&mut self, op: Op, input: &[u8]) -> Vec<u8> {
        let input = if op == Op::Event { short_form(input) } else { input.to_vec() };
        self.attacker.board.load(INPUT, &input);
        let entry = Entry {
            op: op.code(),
            input: INPUT,
            input_bytes: u16::try_from(input.len()).unwrap(),
            output: OUTPUT,
            room: ROOM,
            ..Entry::new(probe().text_address)
        };
        let (end, length) = self.attacker.branch(&entry);
        assert_eq!(end, End::Done);
        (OUTPUT..OUTPUT + length).map(|address| self.attacker.board.memory(address)).collect()
    }

    fn transcript(&self, evidence: &[u8]) -> Vec<u8> {
        evidence.to_vec()
    }

    fn module_key(&self) -> Option<[u8; 16]> {
        Some(module_key(&self.attacker.board.config().node_key, VENDOR, probe()))
    }

    fn kdf(&self) -> Kdf {
        Kdf::SpongeWrap
    }

    fn cipher(&self) -> CipherId {
        CipherId::Spongent128
    }

    fn ciphers(&self) -> &'static [CipherId] {
        &[CipherId::Spongent128]
    }

    fn carries(&self, bit: usize) -> bool {
        short_form_carries(bit)
    }
}

#[test]
fn a_module_in_c_conforms_on_the_board() {
    assert_eq!(run_all(&|| Box::new(OnBoard::new())).len(), CASES.len());
}
