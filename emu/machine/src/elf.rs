//! Firmware in ELF files.
//!
//! What is loaded are *sections*, at the address where they lie in memory before start-up code moves them (LMA). Segments
//! would not do: those of published images, and of LLVM's linker, begin with the file's own headers. Sections count by their
//! flag, whatever they are for: tables of constructors have types of their own.

use object::elf::{FileHeader32, PT_LOAD, SHF_ALLOC, SHT_PROGBITS};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, Sym};
use object::{Endian, Endianness};

/// Number of the processor in ELF files.
const MSP430: u16 = 105;

/// Why a file is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ElfError {
    /// It is damaged.
    #[error("not a valid ELF file of 32 bits: {0}")]
    Damaged(String),
    /// It is for another processor.
    #[error("for another processor (machine {0}), not MSP430")]
    Machine(u16),
    /// It must be linked first.
    #[error("a relocatable object, not a linked program")]
    Relocatable,
    /// A section does not fit.
    #[error("section {name:?} with {length} bytes at {address:#06x} does not fit into 64 KiB")]
    TooLarge {
        /// Its name.
        name: String,
        /// Where it would be loaded.
        address: u64,
        /// Bytes.
        length: u64,
    },
    /// Nothing to load.
    #[error("no section to load")]
    Empty,
}

/// Bytes that are loaded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Where it is loaded.
    pub address: u16,
    /// Its contents.
    pub bytes: Vec<u8>,
}

/// A name for an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Symbol {
    /// The name.
    pub name: String,
    /// The address.
    pub address: u16,
    /// Bytes; 0 when unknown.
    pub size: u16,
    /// Is it code?
    pub is_function: bool,
}

/// A program.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Program {
    /// Where it would start; the hardware asks the reset vector instead.
    pub entry: u16,
    /// What is loaded.
    pub sections: Vec<Section>,
    /// Names, by address.
    pub symbols: Vec<Symbol>,
}

impl Program {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ElfError`] says what is wrong with it.
    ///
    /// # Trust
    /// The file may be anything.
    pub fn parse(file: &[u8]) -> Result<Self, ElfError> {
        let damaged = |error: object::Error| ElfError::Damaged(error.to_string());
        let header = FileHeader32::<Endianness>::parse(file).map_err(damaged)?;
        let endian = header.endian().map_err(damaged)?;
        let machine = header.e_machine.get(endian);
        if machine != MSP430 || endian.is_big_endian() {
            return Err(ElfError::Machine(machine));
        }
        if header.e_type.get(endian) == object::elf::ET_REL {
            return Err(ElfError::Relocatable);
        }
        let sections = load_sections(header, endian, file)?;
        if sections.is_empty() {
            return Err(ElfError::Empty);
        }
        let entry = u16::try_from(header.e_entry.get(endian)).unwrap_or(0);
        Ok(Self { entry, sections, symbols: symbols(header, endian, file).map_err(damaged)? })
    }

    /// The address of a symbol.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<u16> {
        self.symbols.iter().find(|symbol| symbol.name == name).map(|symbol| symbol.address)
    }
}

impl Program {
    /// Writes an ELF file with these sections and symbols, such as [`Program::parse`] reads: for tests and tools.
    ///
    /// # Panics
    /// The contents are longer than 4 GiB.
    #[must_use]
    pub fn to_elf(&self) -> Vec<u8> {
        let mut names = vec![0];
        let mut name = |text: &str| {
            let at = size(names.len());
            names.extend(text.bytes().chain([0]));
            at
        };
        let mut table = vec![[0u32; 10]];
        let mut body: Vec<u8> = Vec::new();
        for section in &self.sections {
            let offset = size(HEADER + body.len());
            body.extend(&section.bytes);
            let length = size(section.bytes.len());
            table.push([name(&section.name), SHT_PROGBITS, 6, section.address.into(), offset, length, 0, 0, 2, 0]);
        }
        let mut entries = vec![0; 16];
        for symbol in &self.symbols {
            let kind = 0x10 | if symbol.is_function { 2 } else { 0 };
            let words = [name(&symbol.name), symbol.address.into(), symbol.size.into()];
            entries.extend(words.iter().flat_map(|word| word.to_le_bytes()));
            // Absolute, global.
            entries.extend([kind, 0, 0xf1, 0xff]);
        }
        let strings = size(self.sections.len()) + 2;
        let own_name = name(".symtab");
        let offset = size(HEADER + body.len());
        body.extend(&entries);
        table.push([own_name, object::elf::SHT_SYMTAB, 0, 0, offset, size(entries.len()), strings, 1, 4, 16]);
        let own_name = name(".strtab");
        let offset = size(HEADER + body.len());
        body.extend(&names);
        table.push([own_name, object::elf::SHT_STRTAB, 0, 0, offset, size(names.len()), 0, 0, 1, 0]);
        let mut file = header(self.entry, size(HEADER + body.len()), size(table.len()));
        file.extend(body);
        file.extend(table.iter().flatten().flat_map(|word| word.to_le_bytes()));
        file
    }
}

/// Bytes of the file's header.
const HEADER: usize = 52;

fn size(length: usize) -> u32 {
    u32::try_from(length).expect("contents below 4 GiB")
}

/// The file's header: 32 bits, little-endian, an executable for MSP430; strings of names are in the last section.
fn header(entry: u16, sections: u32, count: u32) -> Vec<u8> {
    let half = |value: u32| u16::try_from(value).unwrap_or(u16::MAX).to_le_bytes();
    let mut file = vec![0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    file.extend([half(2), half(MSP430.into())].concat());
    file.extend([1, entry.into(), 0, sections, 0].iter().flat_map(|word: &u32| word.to_le_bytes()));
    file.extend([half(52), half(0), half(0), half(40), half(count), half(count - 1)].concat());
    file
}

type Header = FileHeader32<Endianness>;

fn load_sections(header: &Header, endian: Endianness, file: &[u8]) -> Result<Vec<Section>, ElfError> {
    let damaged = |error: object::Error| ElfError::Damaged(error.to_string());
    let segments = header.program_headers(endian, file).map_err(damaged)?;
    let table = header.sections(endian, file).map_err(damaged)?;
    let mut loaded = Vec::new();
    for section in table.iter() {
        let bytes = section.data(endian, file).map_err(damaged)?;
        // A section without contents in the file gives no bytes.
        if section.sh_flags.get(endian) & SHF_ALLOC == 0 || bytes.is_empty() {
            continue;
        }
        let name = String::from_utf8_lossy(table.section_name(endian, section).map_err(damaged)?).into_owned();
        let offset = section.sh_offset.get(endian);
        let holds = |segment: &&object::elf::ProgramHeader32<Endianness>| {
            let start = segment.p_offset.get(endian);
            segment.p_type(endian) == PT_LOAD && offset >= start && offset - start < segment.p_filesz.get(endian)
        };
        let address = match segments.iter().find(holds) {
            Some(segment) => u64::from(segment.p_paddr.get(endian)) + u64::from(offset - segment.p_offset.get(endian)),
            None => section.sh_addr.get(endian).into(),
        };
        let length = bytes.len() as u64;
        match u16::try_from(address) {
            Ok(address) if u64::from(address) + length <= 0x1_0000 => {
                loaded.push(Section { name, address, bytes: bytes.to_vec() });
            }
            _ => return Err(ElfError::TooLarge { name, address, length }),
        }
    }
    Ok(loaded)
}

fn symbols(header: &Header, endian: Endianness, file: &[u8]) -> Result<Vec<Symbol>, object::Error> {
    let table = header.sections(endian, file)?.symbols(endian, file, object::elf::SHT_SYMTAB)?;
    let mut symbols = Vec::new();
    for symbol in table.iter() {
        let kind = symbol.st_type();
        let wanted = [object::elf::STT_NOTYPE, object::elf::STT_FUNC, object::elf::STT_OBJECT].contains(&kind);
        let name = symbol.name(endian, table.strings()).unwrap_or_default();
        let Ok(address) = u16::try_from(symbol.st_value(endian)) else { continue };
        if wanted && !name.is_empty() && symbol.st_shndx(endian) != object::elf::SHN_UNDEF {
            symbols.push(Symbol {
                name: String::from_utf8_lossy(name).into_owned(),
                address,
                size: u16::try_from(symbol.st_size(endian)).unwrap_or(u16::MAX),
                is_function: kind == object::elf::STT_FUNC,
            });
        }
    }
    symbols.sort_by(|a, b| (a.address, &a.name).cmp(&(b.address, &b.name)));
    Ok(symbols)
}
