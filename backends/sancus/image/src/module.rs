//! Building a module: compile, learn its sizes, place.

use crate::declared::PORTS;
use crate::elf::Elf;
use crate::error::system;
use crate::script::{self, ModuleLayout};
use crate::tools::{Compilation, Tools};
use crate::{Declared, ImageError, Linked, Memory};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Which wall a module gets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wall {
    /// An owner's module: it can be unloaded.
    Module,
    /// A provider's driver: it cannot be unloaded, and may serve an interrupt vector.
    Driver {
        /// Entry of the module that owns its device.
        device: u16,
        /// The hardware's id of that module.
        device_id: u16,
        /// It has a function `vt_interrupt`.
        interrupt: bool,
    },
}

/// The author's part of a module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Code {
    /// A folder of C files with the declarations of `veritee.h`.
    Declared(PathBuf),
    /// Files with a `vt_enter` of their own, instead of the SDK's core: for tests of the wall.
    Coreless(Vec<PathBuf>),
}

/// What a module is made of.
#[derive(Clone, Debug)]
pub struct ModuleSource {
    /// Its name, for messages.
    pub name: String,
    /// The author's part.
    pub code: Code,
    /// Bytes of its stack; even.
    pub stack_bytes: u16,
    /// Its wall.
    pub wall: Wall,
}

/// The default of [`ModuleSource::stack_bytes`].
pub const STACK_BYTES: u16 = 512;
/// A result record, and nothing behind it.
const ROOM_LEAST: u16 = 20;
/// Where every board has the entry of the freshness module.
pub(crate) const FRESHNESS: u16 = 0xfc00;

/// How much memory a module needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Need {
    /// Length of its text section in bytes.
    pub text_bytes: u16,
    /// Length of its secret section in bytes.
    pub secret_bytes: u16,
}

/// Memory for a module, as a board's node reserved it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placement {
    /// Address of the text section, even.
    pub text_address: u16,
    /// Bytes there.
    pub text_bytes: u16,
    /// Address of the secret section, even.
    pub secret_address: u16,
    /// Bytes there.
    pub secret_bytes: u16,
}

/// A compiled module without addresses.
#[derive(Clone, PartialEq, Eq)]
pub struct Relocatable {
    pub(crate) name: String,
    pub(crate) object: Vec<u8>,
    pub(crate) stack_bytes: u16,
    pub(crate) outside: Vec<(String, u16)>,
    pub(crate) need: Need,
    pub(crate) declared: Option<Declared>,
    pub(crate) room: u16,
    pub(crate) poll: u16,
}

impl ModuleSource {
    /// An owner's module from a folder of C files, with the defaults.
    #[must_use]
    pub fn new(name: &str, folder: &Path) -> Self {
        Self {
            name: name.to_owned(),
            code: Code::Declared(folder.to_owned()),
            stack_bytes: STACK_BYTES,
            wall: Wall::Module,
        }
    }

    /// Compiles the module and what every module has: its wall, the core of the C SDK, what the compiler calls.
    ///
    /// # Errors
    /// [`ImageError::Declarations`] when a declaration is wrong; [`ImageError::Tool`] when a file does not compile or a name
    /// is missing; what [`Relocatable::place`] says of initialised variables and references; [`ImageError::System`] when a
    /// file cannot be written.
    pub fn compile(&self, tools: &Tools) -> Result<Relocatable, ImageError> {
        let folder = TempDir::new().map_err(system("make a temporary folder"))?;
        let declared = match &self.code {
            Code::Declared(sources) => Some(Declared::read(&self.name, sources, tools)?),
            Code::Coreless(_) => None,
        };
        let mut includes = vec![tools.board(), tools.sdk()];
        if let Some(declared) = &declared {
            declared.write(folder.path())?;
            includes.push(folder.path().to_owned());
        }
        let defines: &[&str] = if self.wall == Wall::Module { &[] } else { &["VT_DRIVER"] };
        let mut objects = Vec::new();
        for (number, file) in self.files(tools, folder.path())?.iter().enumerate() {
            let source = file.canonicalize().map_err(system(format!("open {}", file.display())))?;
            let object = folder.path().join(format!("{number}.o"));
            let (module, includes) = (self.name.as_str(), &includes[..]);
            tools.compile(&Compilation { module, source: &source, object: &object, includes, defines })?;
            objects.push(object);
        }
        let joined = folder.path().join("module.o");
        let options = ["-r".into(), "-o".into(), joined.clone()];
        tools.link(&self.name, folder.path(), options.iter().chain(&objects))?;
        let object = fs::read(&joined).map_err(system("read the compiled module"))?;
        let need = Need { text_bytes: 0, secret_bytes: 0 };
        let (name, stack_bytes, outside) = (self.name.clone(), self.stack_bytes, self.outside());
        let room = declared.as_ref().map_or(ROOM_LEAST, Declared::room);
        let poll = declared.as_ref().map_or(0, Declared::poll);
        let mut module = Relocatable { name, object, stack_bytes, outside, need, declared, room, poll };
        module.measure(tools)?;
        Ok(module)
    }

    fn files(&self, tools: &Tools, generated: &Path) -> Result<Vec<PathBuf>, ImageError> {
        let board = tools.board();
        let mut files = vec![board.join("stub.S")];
        if let Wall::Driver { interrupt: true, .. } = self.wall {
            files.push(board.join("interrupt.S"));
        }
        match &self.code {
            Code::Coreless(own) => files.extend(own.iter().cloned()),
            Code::Declared(folder) => {
                files.extend(c_files(folder)?);
                files.push(generated.join(PORTS));
                files.extend(c_files(&tools.sdk().join("core"))?);
            }
        }
        files.push(board.join("runtime.S"));
        Ok(files)
    }

    /// The addresses outside the module that it may name.
    fn outside(&self) -> Vec<(String, u16)> {
        let mut outside = vec![("vt_freshness".to_owned(), FRESHNESS)];
        if let Wall::Driver { device, device_id, .. } = self.wall {
            outside.push(("vt_device_entry".to_owned(), device));
            outside.push(("vt_device_id".to_owned(), device_id));
        }
        outside
    }
}

impl core::fmt::Debug for Relocatable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Relocatable").field("name", &self.name).field("need", &self.need).finish_non_exhaustive()
    }
}

impl Relocatable {
    /// How much memory to reserve for the module.
    #[must_use]
    pub const fn need(&self) -> Need {
        self.need
    }

    /// Bytes of output that the firmware should have room for when it enters the module.
    #[must_use]
    pub const fn room(&self) -> u16 {
        self.room
    }

    /// Every how many ticks of 10 ms the firmware should poll the module; 0 for never.
    #[must_use]
    pub const fn poll(&self) -> u16 {
        self.poll
    }

    /// What its author declared; nothing for a module without the SDK's core.
    #[must_use]
    pub const fn declared(&self) -> Option<&Declared> {
        self.declared.as_ref()
    }

    /// Links the module at its addresses.
    ///
    /// # Errors
    /// [`ImageError::TooBig`] when the placement is too small; [`ImageError::Address`] for an odd address or one that leads
    /// over the end of memory; [`ImageError::InitialisedVariable`]; [`ImageError::Outside`] for a reference that leaves the
    /// module; [`ImageError::Tool`] and [`ImageError::System`] as in [`ModuleSource::compile`].
    pub fn place(&self, tools: &Tools, place: Placement) -> Result<Linked, ImageError> {
        let (text_bytes, secret_bytes) = (self.need.text_bytes, self.need.secret_bytes);
        self.fits("text", text_bytes, place.text_bytes)?;
        self.fits("secret section", secret_bytes, place.secret_bytes)?;
        for (address, length) in [(place.text_address, text_bytes), (place.secret_address, secret_bytes)] {
            if address & 1 != 0 || address.checked_add(length).is_none() {
                return Err(ImageError::Address { module: self.name.clone(), address });
            }
        }
        self.link(tools, place.text_address, place.secret_address)
    }

    fn fits(&self, section: &'static str, needed: u16, free: u16) -> Result<(), ImageError> {
        if needed <= free {
            return Ok(());
        }
        let (needed, free) = (u32::from(needed), u32::from(free));
        Err(ImageError::TooBig { module: self.name.clone(), section, needed, free })
    }

    /// Links it somewhere, to see how long it is.
    fn measure(&mut self, tools: &Tools) -> Result<(), ImageError> {
        let linked = self.link(tools, TRIAL_TEXT, TRIAL_SECRET)?;
        let text_bytes = u16::try_from(linked.text.len()).unwrap_or(u16::MAX);
        self.need = Need { text_bytes, secret_bytes: linked.secret_bytes };
        Ok(())
    }

    fn link(&self, tools: &Tools, text: u16, secret: u16) -> Result<Linked, ImageError> {
        let layout = ModuleLayout { text, secret, stack: self.stack_bytes, outside: &self.outside };
        let script = script::module(&layout);
        match link(tools, &self.name, (&self.object, &script), &[]) {
            Ok(bytes) => {
                let elf = Elf::parse(&self.name, &bytes)?;
                self.within(&elf, [0x1_0000 - u32::from(text), 0x1_0000 - u32::from(secret)])?;
                elf.module(&self.outside)
            }
            // Addresses beyond the end of memory: how long it is says more than every one of them.
            Err(ImageError::Tool { said, .. }) if BEYOND.iter().any(|words| said.contains(words)) => {
                let bytes = link(tools, &self.name, (&self.object, &script), &["--noinhibit-exec"])?;
                let memory = Memory::default();
                self.within(&Elf::parse(&self.name, &bytes)?, [u32::from(memory.rom), u32::from(memory.ram)])?;
                Err(ImageError::Tool { module: self.name.clone(), said })
            }
            Err(error) => Err(error),
        }
    }

    /// Text and secret section are shorter than these bytes.
    fn within(&self, elf: &Elf<'_>, [text, secret]: [u32; 2]) -> Result<(), ImageError> {
        for (name, section, free) in [(".text", "text", text), (".bss", "secret section", secret)] {
            let needed = u32::try_from(elf.length(name)).unwrap_or(u32::MAX);
            if needed >= free {
                return Err(ImageError::TooBig { module: self.name.clone(), section, needed, free });
            }
        }
        Ok(())
    }
}

/// Links a module that owns a device, `secret` (address, bytes), and serves the module `driver_id`.
pub(crate) fn link_device(
    tools: &Tools, name: &str, source: &Path, text: u16, secret: (u16, u16), driver_id: u16,
) -> Result<Linked, ImageError> {
    let folder = TempDir::new().map_err(system("make a temporary folder"))?;
    let object = folder.path().join("device.o");
    let includes = [tools.board(), tools.board().join("devices")];
    tools.compile(&Compilation { module: name, source, object: &object, includes: &includes, defines: &[] })?;
    let outside = [("vt_driver_id".to_owned(), driver_id)];
    let object = fs::read(&object).map_err(system("read the compiled module"))?;
    let bytes = link(tools, name, (&object, &script::device(text, &outside)), &[])?;
    Elf::parse(name, &bytes)?.device(secret, &outside)
}

fn link(tools: &Tools, name: &str, (object, script): (&[u8], &str), options: &[&str]) -> Result<Vec<u8>, ImageError> {
    let folder = TempDir::new().map_err(system("make a temporary folder"))?;
    let path = |name: &str| folder.path().join(name);
    fs::write(path("module.o"), object).map_err(system("write the compiled module"))?;
    fs::write(path("module.ld"), script).map_err(system("write a linker script"))?;
    let arguments = [
        "-T",
        "module.ld",
        "--gc-sections",
        "--emit-relocs",
        "--orphan-handling=place",
        "-o",
        "module.elf",
        "module.o",
    ];
    tools.link(name, folder.path(), arguments.iter().chain(options))?;
    fs::read(path("module.elf")).map_err(system("read the linked module"))
}

/// The C files of a folder, in the order of their names.
fn c_files(folder: &Path) -> Result<Vec<PathBuf>, ImageError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(system(format!("read {}", folder.display())))? {
        let path = entry.map_err(system(format!("read {}", folder.display())))?.path();
        if path.extension().is_some_and(|extension| extension == "c") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What the linker says of addresses that do not fit.
const BEYOND: [&str; 2] = ["out of range", "overlaps with"];
/// Somewhere: no size depends on where.
const TRIAL_TEXT: u16 = 0x4000;
const TRIAL_SECRET: u16 = 0x0200;
