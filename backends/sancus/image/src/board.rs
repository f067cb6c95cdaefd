//! A board's program memory: stage 0, the firmware, the provider's drivers.

mod generated;

use crate::elf::Elf;
use crate::error::system;
use crate::module::{FRESHNESS, ModuleSource, Placement, Wall, link_device};
use crate::script::{self, BoardLayout};
use crate::tools::{Compilation, Tools};
use crate::{Declared, ImageError, Linked, Symbol};
use generated::{Free, Generated};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What a board is to be.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardPlan {
    /// Vendor id of the provider, for its drivers.
    pub vendor: u16,
    /// Slots of the hardware for protected modules.
    #[serde(default = "BoardPlan::slots_of_most_boards")]
    pub slots: u16,
    /// Memory of the part.
    #[serde(default)]
    pub memory: Memory,
    /// Names of drivers: folders of the framework's drivers. Their order is that of the hardware's ids.
    #[serde(default)]
    pub drivers: Vec<String>,
}

/// Memory of a part. Both end where the hardware has them end: program memory at the end of the address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Bytes of RAM, from 0x0200 on.
    pub ram: u16,
    /// Bytes of program memory, up to 0xffff.
    pub rom: u16,
}

impl Default for Memory {
    /// 16 KiB of RAM and 41 KiB of program memory, as the published boards have.
    fn default() -> Self {
        Self { ram: 16 * 1024, rom: 41 * 1024 }
    }
}

impl Memory {
    const fn ram_end(self) -> u16 {
        RAM + self.ram
    }

    const fn rom_start(self) -> u16 {
        0u16.wrapping_sub(self.rom)
    }
}

/// A driver, as its folder's `driver.toml` describes it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriverPlan {
    /// The assembly of the module that owns the device: a file of the framework's devices, without `.S`.
    pub device: String,
    /// First address of the device.
    pub first: u16,
    /// Bytes of the device.
    pub bytes: u16,
    /// The interrupt vector that leads to the driver, if one does. Only 3 (port 2) does on these boards.
    #[serde(default)]
    pub interrupt: Option<u16>,
    /// Every how many ticks of 10 ms the firmware polls it; 0 never; 0x8000 whenever the board wakes up.
    #[serde(default)]
    pub poll: u16,
    /// Bytes of its largest output, even.
    pub room: u16,
    /// Bytes of its stack.
    #[serde(default = "DriverPlan::stack_of_most_drivers")]
    pub stack: u16,
}

impl BoardPlan {
    const fn slots_of_most_boards() -> u16 {
        8
    }
}

impl DriverPlan {
    const fn stack_of_most_drivers() -> u16 {
        crate::module::STACK_BYTES
    }

    fn read(folder: &Path) -> Result<Self, ImageError> {
        let path = folder.join("driver.toml");
        let text = fs::read_to_string(&path).map_err(system(format!("read {}", path.display())))?;
        toml::from_str(&text).map_err(|error| ImageError::Plan(format!("{}: {error}", path.display())))
    }
}

/// A driver in a board image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BuiltInModule {
    /// Its name.
    pub name: String,
    /// The hardware's id of the driver.
    pub id: u16,
    /// The driver.
    pub driver: Linked,
    /// What it declares.
    pub declared: Option<Declared>,
    /// The hardware's id of the module that owns the device.
    pub device_id: u16,
    /// The module that owns the device; its secret section is the device.
    pub device: Linked,
    /// How it is served.
    pub plan: DriverPlan,
}

impl BuiltInModule {
    /// Its port table, as images of all platforms carry it.
    #[must_use]
    pub fn port_table(&self) -> Vec<u8> {
        self.declared.as_ref().map(Declared::port_table).unwrap_or_default()
    }
}

/// What runs on a board from reset on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BoardImage {
    /// The program memory, as an ELF file for a programmer or the emulator.
    pub elf: Vec<u8>,
    /// Vendor id of the drivers.
    pub vendor: u16,
    /// The drivers, in the order of the firmware's handles.
    pub drivers: Vec<BuiltInModule>,
    /// Program memory that modules can have: start and end.
    pub text_free: (u16, u16),
    /// RAM that modules can have: start and end.
    pub secret_free: (u16, u16),
    /// Functions and variables of the firmware and of stage 0.
    pub symbols: Vec<Symbol>,
}

/// What a provider keeps of a board image: who its drivers are.
#[derive(Serialize)]
struct Manifest<'a> {
    vendor: u16,
    text_free: (u16, u16),
    secret_free: (u16, u16),
    driver: Vec<ManifestDriver<'a>>,
}

#[derive(Serialize)]
struct ManifestDriver<'a> {
    name: &'a str,
    id: u16,
    text: (u16, u16),
    secret: (u16, u16),
    device: (u16, u16),
    ports: String,
    identity: String,
}

impl BoardImage {
    /// Builds what the plan says.
    ///
    /// # Errors
    /// [`ImageError::Plan`] for a plan that makes no sense; [`ImageError::TooBig`] when the memory does not suffice; and
    /// what building a module says.
    pub fn build(plan: &BoardPlan, tools: &Tools) -> Result<Self, ImageError> {
        check(plan)?;
        let objects = Objects::compile(tools)?;
        let trial = Generated::trial(plan);
        let bytes = objects.link(tools, &trial, plan)?;
        let elf = Elf::parse(BOARD, &bytes)?;
        let firmware_end = even(elf.length(".firmware"))?.saturating_add(plan.memory.rom_start());
        let memory_end = even(elf.length(".bss"))?.saturating_add(RAM);
        let drivers = place_drivers(plan, tools, (firmware_end, memory_end))?;
        let (text, secret) = drivers
            .last()
            .map_or((firmware_end, memory_end), |last| (last.driver.text_end(), last.driver.secret_end()));
        let (text_free, secret_free) = ((text, FRESHNESS), (secret, plan.memory.ram_end()));
        let generated = Generated::new(plan, &drivers, &Free { text: text_free, secret: secret_free });
        let elf_bytes = objects.link(tools, &generated, plan)?;
        let elf = Elf::parse(BOARD, &elf_bytes)?;
        let symbols = elf.symbols()?;
        Ok(Self { elf: elf_bytes, vendor: plan.vendor, drivers, text_free, secret_free, symbols })
    }

    /// The manifest: each driver's name, id, place, port table, and the bytes that the hardware measures, as TOML.
    ///
    /// # Panics
    /// Never: numbers and texts can be written as TOML.
    #[must_use]
    pub fn manifest(&self) -> String {
        let manifest = Manifest {
            vendor: self.vendor,
            text_free: self.text_free,
            secret_free: self.secret_free,
            driver: self
                .drivers
                .iter()
                .map(|built| ManifestDriver {
                    name: &built.name,
                    id: built.id,
                    text: (built.driver.text_address, built.driver.text_end()),
                    secret: (built.driver.secret_address, built.driver.secret_end()),
                    device: (built.device.secret_address, built.device.secret_end()),
                    ports: hex(&built.port_table()),
                    identity: hex(&built.driver.identity()),
                })
                .collect(),
        };
        toml::to_string(&manifest).expect("numbers and texts can be written as TOML")
    }

    /// The address of a symbol of the firmware or of stage 0.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<u16> {
        self.symbols.iter().find(|symbol| symbol.name == name).map(|symbol| symbol.address)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn even(length: u64) -> Result<u16, ImageError> {
    u16::try_from(length.next_multiple_of(2)).map_err(|_| ImageError::Plan("the firmware is too long".to_owned()))
}

fn check(plan: &BoardPlan) -> Result<(), ImageError> {
    let fail = |reason: String| Err(ImageError::Plan(reason));
    let odd = !plan.memory.ram.is_multiple_of(2) || !plan.memory.rom.is_multiple_of(2);
    if odd || plan.memory.ram > ROM_MOST - RAM {
        return fail("memory has an even length and fits into 16 bits".to_owned());
    }
    if plan.memory.ram_end() > plan.memory.rom_start() {
        return fail("RAM and program memory overlap".to_owned());
    }
    let used = 1 + 2 * plan.drivers.len();
    if used >= usize::from(plan.slots) {
        return fail(format!("stage 0 and the drivers take {used} of {} slots; none is left", plan.slots));
    }
    match plan.drivers.iter().enumerate().find(|(at, name)| plan.drivers[..*at].contains(name)) {
        Some((_, twice)) => fail(format!("the driver {twice} is there twice")),
        None if plan.drivers.len() > DRIVERS_MOST => fail(format!("a board has at most {DRIVERS_MOST} drivers")),
        None => Ok(()),
    }
}

/// Builds each driver and the owner of its device, one behind the other.
fn place_drivers(plan: &BoardPlan, tools: &Tools, begin: (u16, u16)) -> Result<Vec<BuiltInModule>, ImageError> {
    let (mut text, mut secret) = begin;
    let mut drivers: Vec<BuiltInModule> = Vec::new();
    // The freshness module has id 1; then come owner and driver of each device.
    for (name, device_id) in plan.drivers.iter().zip((2u16..).step_by(2)) {
        let built = driver(plan, tools, name, device_id, (text, secret))?;
        let device = &built.device;
        let taken = |other: &BuiltInModule| {
            device.secret_address < other.device.secret_end() && other.device.secret_address < device.secret_end()
        };
        if let Some(other) = drivers.iter().find(|other| taken(other)) {
            return Err(ImageError::Plan(format!("{name} and {} want the same device", other.name)));
        }
        (text, secret) = (built.driver.text_end(), built.driver.secret_end());
        drivers.push(built);
    }
    Ok(drivers)
}

fn driver(
    plan: &BoardPlan, tools: &Tools, name: &str, device_id: u16, (text, secret): (u16, u16),
) -> Result<BuiltInModule, ImageError> {
    let known = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let folder = tools.board().join("drivers").join(name);
    if !known || !folder.is_dir() {
        return Err(ImageError::Plan(format!("there is no driver {name:?}")));
    }
    let driver_plan = DriverPlan::read(&folder)?;
    let (id, secret_range) = (device_id + 1, (driver_plan.first, driver_plan.bytes));
    let source = tools.board().join("devices").join(format!("{}.S", driver_plan.device));
    let device = link_device(tools, &driver_plan.device, &source, text, secret_range, id)?;
    let mut module = ModuleSource::new(name, &folder);
    module.stack_bytes = driver_plan.stack;
    module.wall = Wall::Driver { device: text, device_id, interrupt: driver_plan.interrupt.is_some() };
    let relocatable = module.compile(tools)?;
    let (text_address, secret_address) = (device.text_end(), secret);
    let placement = Placement {
        text_address,
        text_bytes: FRESHNESS.saturating_sub(text_address),
        secret_address,
        secret_bytes: plan.memory.ram_end().saturating_sub(secret_address),
    };
    let driver = relocatable.place(tools, placement)?;
    let declared = relocatable.declared().cloned();
    Ok(BuiltInModule { name: name.to_owned(), id, driver, declared, device_id, device, plan: driver_plan })
}

/// The compiled parts of a board that are no modules.
struct Objects {
    folder: TempDir,
    objects: Vec<PathBuf>,
}

impl Objects {
    fn compile(tools: &Tools) -> Result<Self, ImageError> {
        let folder = TempDir::new().map_err(system("make a temporary folder"))?;
        let board = tools.board();
        let mut sources = vec![board.join("stage0.S"), board.join("firmware/start.S"), board.join("runtime.S")];
        sources.extend(FIRMWARE.iter().map(|name| board.join("firmware").join(name)));
        let mut objects = Vec::new();
        for (number, source) in sources.iter().enumerate() {
            let object = folder.path().join(format!("{number}.o"));
            compile(tools, source, &object)?;
            objects.push(object);
        }
        Ok(Self { folder, objects })
    }

    fn link(&self, tools: &Tools, generated: &Generated, plan: &BoardPlan) -> Result<Vec<u8>, ImageError> {
        let path = |name: &str| self.folder.path().join(name);
        fs::write(path("board.S"), &generated.assembly).map_err(system("write the table of modules"))?;
        compile(tools, &path("board.S"), &path("board.o"))?;
        let layout = BoardLayout {
            firmware_text: plan.memory.rom_start(),
            firmware_memory: RAM,
            firmware_stack: FIRMWARE_STACK,
            stage0: FRESHNESS,
            sections: &generated.sections,
            outside: &[("vt_ram_start".to_owned(), RAM), ("vt_ram_end".to_owned(), plan.memory.ram_end())],
        };
        fs::write(path("board.ld"), script::board(&layout)).map_err(system("write a linker script"))?;
        let mut arguments: Vec<PathBuf> =
            ["-T", "board.ld", "--gc-sections", "-o", "board.elf", "board.o"].iter().map(PathBuf::from).collect();
        // By their names only: they end up in the symbol table.
        arguments.extend(self.objects.iter().filter_map(|object| object.file_name().map(PathBuf::from)));
        tools.link(BOARD, self.folder.path(), arguments)?;
        fs::read(path("board.elf")).map_err(system("read the linked board"))
    }
}

fn compile(tools: &Tools, source: &Path, object: &Path) -> Result<(), ImageError> {
    let includes = [tools.board()];
    tools.compile(&Compilation { module: BOARD, source, object, includes: &includes, defines: &[] })
}

const BOARD: &str = "the board";
const FIRMWARE: [&str; 5] = ["main.c", "requests.c", "modules.c", "ring.c", "serial.c"];
const FIRMWARE_STACK: u16 = 320;
/// The freshness device: first address, and the one behind the last.
const FRESHNESS_DEVICE: (u16, u16) = (0x1a0, 0x1c0);
/// Where RAM begins.
const RAM: u16 = 0x0200;
const ROM_MOST: u16 = 0xff00;
/// The firmware has 16 handles, 8 of them for modules.
const DRIVERS_MOST: usize = 8;
