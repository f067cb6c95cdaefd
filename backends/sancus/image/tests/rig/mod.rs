//! A board on the emulator, with a host at its serial line.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod attacker;
pub(crate) mod bench;
pub(crate) mod line;

use object::{Object, ObjectSection, SectionKind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use veritee_machine::{Board, Config, Generation, Profile};
use veritee_sancus_image::{BoardImage, BoardPlan, Code, Linked, ModuleSource, Placement, Relocatable, Tools};

/// The folder of the framework's sources.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

/// clang and lld; a test cannot do without.
pub(crate) fn tools() -> &'static Tools {
    static TOOLS: OnceLock<Tools> = OnceLock::new();
    TOOLS.get_or_init(|| Tools::find(&root()).unwrap_or_else(|error| panic!("{error}")))
}

/// The module that shows what a module sees and does.
pub(crate) fn probe() -> &'static Relocatable {
    static PROBE: OnceLock<Relocatable> = OnceLock::new();
    PROBE.get_or_init(|| {
        let file = root().join("backends/sancus/image/tests/probe/probe.c");
        let source = ModuleSource { code: Code::Coreless(vec![file]), ..ModuleSource::new("probe", Path::new("")) };
        source.compile(tools()).unwrap()
    })
}

/// The probe at these addresses.
pub(crate) fn probe_at(text_address: u16, secret_address: u16) -> Linked {
    let need = probe().need();
    let (text_bytes, secret_bytes) = (need.text_bytes, need.secret_bytes);
    probe().place(tools(), Placement { text_address, text_bytes, secret_address, secret_bytes }).unwrap()
}

/// A board image with these drivers.
pub(crate) fn image(drivers: &[&str]) -> BoardImage {
    let drivers = drivers.iter().map(|name| (*name).to_owned()).collect();
    let plan = BoardPlan { drivers, slots: 16, ..toml::from_str("vendor = 1").unwrap() };
    BoardImage::build(&plan, tools()).unwrap()
}

/// A board with the profile, or a bare part; `image` in its program memory.
pub(crate) fn board(profile: Profile, image: &BoardImage) -> Board {
    // The same tests run on both generations of the core.
    let newer = env!("CARGO_CRATE_NAME").ends_with("_master");
    let generation = if newer { Generation::Master } else { Generation::Legacy };
    let reset_on_violation = profile == Profile::Veritee;
    let mut board = Board::new(Config { generation, profile, reset_on_violation, slots: 16, ..Config::default() });
    flash(&mut board, &image.elf);
    board.power_up();
    board
}

/// Puts an ELF file into program memory.
pub(crate) fn flash(board: &mut Board, elf: &[u8]) {
    let file = object::File::parse(elf).unwrap();
    for section in file.sections() {
        if matches!(section.kind(), SectionKind::Text | SectionKind::Data | SectionKind::ReadOnlyData) {
            board.load(u16::try_from(section.address()).unwrap(), section.data().unwrap());
        }
    }
}

/// The key of a module, as the provider would compute it.
pub(crate) fn module_key(node_key: &[u8; 16], vendor: u16, module: &Linked) -> [u8; 16] {
    let mac = |key: &[u8; 16], message: &[u8]| veritee_spongent::Key::new(key).mac(message);
    mac(&mac(node_key, &vendor.to_le_bytes()), &module.identity())
}
