//! The suite of all platforms, against the probe in C on an emulated board: reserved, linked, loaded and entered by this
//! driver, over the serial line and the board's firmware.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/emulated.rs"]
mod emulated;

use emulated::{Emulated, NODE_KEY};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;
use veritee_c_core::short_form_carries;
use veritee_conformance::{CASES, Subject, run_all};
use veritee_host::{Hosted, LoadRequest, Platform as _, ReserveRequest};
use veritee_ids::{CipherId, Op};
use veritee_sancus_format::{Image, ModuleImage, Need, Placed};
use veritee_sancus_image::{BoardImage, BoardPlan, Linked, ModuleSource, Placement, Relocatable, Tools};
use veritee_sancus_node::{BoardConfig, SancusPlatform};
use veritee_session::Kdf;

const VENDOR: u16 = 7;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn tools() -> &'static Tools {
    static TOOLS: OnceLock<Tools> = OnceLock::new();
    TOOLS.get_or_init(|| Tools::find(&root()).unwrap_or_else(|error| panic!("{error}")))
}

fn firmware() -> &'static BoardImage {
    static FIRMWARE: OnceLock<BoardImage> = OnceLock::new();
    FIRMWARE.get_or_init(|| {
        let plan = BoardPlan { slots: 16, ..toml::from_str("vendor = 1").unwrap() };
        BoardImage::build(&plan, tools()).unwrap()
    })
}

fn probe() -> &'static Relocatable {
    static PROBE: OnceLock<Relocatable> = OnceLock::new();
    PROBE.get_or_init(|| ModuleSource::new("probe", &root().join("testkit/probe/c")).compile(tools()).unwrap())
}

/// The probe at the addresses that the platform chose; the same for every fresh board.
fn probe_at(place: &Placed) -> &'static Linked {
    static LINKED: OnceLock<(Placed, Linked)> = OnceLock::new();
    let (linked_for, linked) = LINKED.get_or_init(|| {
        let at = Placement {
            text_address: place.text_address,
            text_bytes: place.text_bytes,
            secret_address: place.secret_address,
            secret_bytes: place.secret_bytes,
        };
        (place.clone(), probe().place(tools(), at).unwrap())
    });
    assert_eq!(linked_for, place);
    linked
}

/// The probe on a board of its own. Fields end in this order: the module, its driver, the board.
struct OnBoard {
    hosted: Box<dyn Hosted>,
    linked: &'static Linked,
    call: u64,
    _folder: TempDir,
    _platform: SancusPlatform,
    _board: Emulated,
}

impl OnBoard {
    fn start() -> Self {
        let board = Emulated::start(&firmware().elf);
        let config = BoardConfig { name: "board".to_owned(), port: board.port(), baud: 115_200, drivers: Vec::new() };
        let platform = SancusPlatform::new(vec![config]);
        let need = probe().need();
        let need = Need { text_bytes: need.text_bytes, secret_bytes: need.secret_bytes }.encode();
        let place = platform.reserve(&ReserveRequest { board: "", need: &need, taken: &[] }).unwrap();
        let linked = probe_at(&Placed::decode(&place).unwrap());
        let image = Image::Module(ModuleImage {
            vendor: VENDOR,
            text_address: linked.text_address,
            text: linked.text.clone(),
            secret_address: linked.secret_address,
            secret_bytes: linked.secret_bytes,
            room: probe().room(),
            poll: probe().poll(),
        });
        let image = image.encode();
        let folder = tempfile::tempdir().unwrap();
        let request =
            LoadRequest { image: &image, directory: folder.path(), label: "probe", place: &place, provider: false };
        let hosted = platform.load(&request).unwrap();
        Self { hosted, linked, call: 0, _folder: folder, _platform: platform, _board: board }
    }

    /// The next output of the module.
    fn output(&mut self) -> (u64, u64, Vec<u8>) {
        loop {
            let mut found = None;
            let mut take = |output: veritee_host::Output<'_>| {
                found = Some((output.position, output.call, output.bytes.to_vec()));
            };
            self.hosted.pull(1, &mut take).unwrap();
            if let Some(found) = found {
                return found;
            }
            assert!(self.hosted.death().is_none(), "the module lives");
            let mut waits = [
                PollFd::from_borrowed_fd(self.hosted.wake_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(self.hosted.death_fd(), PollFlags::IN),
            ];
            let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
            assert!(poll(&mut waits, Some(&limit)).unwrap() > 0, "nothing happens");
        }
    }
}

impl Subject for OnBoard {
    fn enter(&mut self, op: Op, input: &[u8]) -> Vec<u8> {
        self.call += 1;
        self.hosted.push(self.call, op, input).expect("the queue has room");
        self.hosted.flush();
        let (position, call, bytes) = self.output();
        assert_eq!(call, self.call);
        self.hosted.release(position);
        bytes
    }

    fn transcript(&self, evidence: &[u8]) -> Vec<u8> {
        evidence.to_vec()
    }

    fn module_key(&self) -> Option<[u8; 16]> {
        let mac = |key: &[u8; 16], message: &[u8]| veritee_spongent::Key::new(key).mac(message);
        Some(mac(&mac(&NODE_KEY, &VENDOR.to_le_bytes()), &self.linked.identity()))
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
fn a_board_conforms_over_its_serial_line() {
    assert_eq!(run_all(&|| Box::new(OnBoard::start())).len(), CASES.len());
}
