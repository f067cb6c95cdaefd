//! Reading what the linker wrote, and checking that a module is all there and alone.

use crate::{ImageError, Linked, Symbol};
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionKind, SymbolKind, SymbolSection};
use std::ops::RangeInclusive;

/// A parsed file of the linker.
pub(crate) struct Elf<'a> {
    module: &'a str,
    file: object::File<'a>,
}

impl<'a> Elf<'a> {
    pub(crate) fn parse(module: &'a str, bytes: &'a [u8]) -> Result<Self, ImageError> {
        let file = object::File::parse(bytes).map_err(|error| unexpected(module, &error.to_string()))?;
        Ok(Self { module, file })
    }

    /// Address and bytes of a section; nothing if it is empty or not there.
    pub(crate) fn section(&self, name: &str) -> Result<Option<(u16, Vec<u8>)>, ImageError> {
        let Some(section) = self.file.section_by_name(name) else { return Ok(None) };
        if section.size() == 0 {
            return Ok(None);
        }
        let bytes = section.uncompressed_data().map_err(|error| unexpected(self.module, &error.to_string()))?;
        Ok(Some((self.address(section.address())?, bytes.into_owned())))
    }

    /// Length of a section.
    pub(crate) fn length(&self, name: &str) -> u64 {
        self.file.section_by_name(name).map_or(0, |section| section.size())
    }

    /// Address of a symbol.
    pub(crate) fn symbol(&self, name: &str) -> Result<u16, ImageError> {
        let found = self.file.symbols().find(|symbol| symbol.name() == Ok(name));
        let symbol = found.ok_or_else(|| unexpected(self.module, &format!("no symbol {name}")))?;
        self.address(symbol.address())
    }

    /// Functions and variables by address.
    pub(crate) fn symbols(&self) -> Result<Vec<Symbol>, ImageError> {
        let mut symbols = Vec::new();
        for symbol in self.file.symbols() {
            let named = symbol.name().unwrap_or_default();
            let is_code_or_data = matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Data | SymbolKind::Unknown);
            if is_code_or_data && !named.is_empty() && matches!(symbol.section(), SymbolSection::Section(_)) {
                symbols.push(Symbol { address: self.address(symbol.address())?, name: named.to_owned() });
            }
        }
        symbols.sort();
        symbols.dedup();
        Ok(symbols)
    }

    /// Takes a module out of the linked file.
    ///
    /// # Errors
    /// What [`checks`](Self::check_alone) say.
    pub(crate) fn module(&self, allowed: &[(String, u16)]) -> Result<Linked, ImageError> {
        self.check_sections(&[".text", ".bss"])?;
        let (text_address, text) = self.section(".text")?.ok_or_else(|| unexpected(self.module, "there is no text"))?;
        let secret_address = self.symbol("vt_secret_start")?;
        let secret_bytes = self.symbol("vt_secret_end")? - secret_address;
        let linked = Linked { text_address, text, secret_address, secret_bytes, symbols: self.symbols()? };
        if self.symbol("vt_text_end")? != linked.text_end() || self.symbol("vt_entry")? != text_address {
            return Err(unexpected(self.module, "the text is not what the wall takes it for"));
        }
        let text = u32::from(text_address)..=u32::from(linked.text_end());
        let secret = u32::from(secret_address)..=u32::from(linked.secret_end());
        self.check_alone(&[text, secret], allowed)?;
        Ok(linked)
    }

    /// Takes a module that owns a device out of the linked file.
    pub(crate) fn device(&self, secret: (u16, u16), allowed: &[(String, u16)]) -> Result<Linked, ImageError> {
        self.check_sections(&[".text"])?;
        let (text_address, text) = self.section(".text")?.ok_or_else(|| unexpected(self.module, "there is no text"))?;
        let (secret_address, secret_bytes) = secret;
        let linked = Linked { text_address, text, secret_address, secret_bytes, symbols: self.symbols()? };
        let text = u32::from(text_address)..=u32::from(linked.text_end());
        self.check_alone(&[text], allowed)?;
        Ok(linked)
    }

    /// Nothing that would have to be loaded lies outside the known sections.
    pub(crate) fn check_sections(&self, known: &[&str]) -> Result<(), ImageError> {
        for section in self.file.sections() {
            let name = section.name().unwrap_or("without a name");
            let loaded = matches!(
                section.kind(),
                SectionKind::Text | SectionKind::Data | SectionKind::ReadOnlyData | SectionKind::UninitializedData
            );
            if !loaded || section.size() == 0 || known.contains(&name) {
                continue;
            }
            let (module, section) = (self.module.to_owned(), name.to_owned());
            return Err(match name {
                ".data" => ImageError::InitialisedVariable { module, section },
                _ => unexpected(self.module, &format!("it has a section {section}")),
            });
        }
        Ok(())
    }

    /// Every address that the linker wrote into the code lies in one of the ranges, or is an allowed name.
    fn check_alone(&self, own: &[RangeInclusive<u32>], allowed: &[(String, u16)]) -> Result<(), ImageError> {
        for section in self.file.sections() {
            for (_, relocation) in section.relocations() {
                let RelocationTarget::Symbol(index) = relocation.target() else {
                    return Err(unexpected(self.module, "a reference to nothing"));
                };
                let symbol =
                    self.file.symbol_by_index(index).map_err(|error| unexpected(self.module, &error.to_string()))?;
                let name = symbol.name().unwrap_or_default();
                if allowed.iter().any(|(known, value)| known == name && u64::from(*value) == symbol.address()) {
                    continue;
                }
                let target = symbol.address().cast_signed().wrapping_add(relocation.addend());
                let address = u32::try_from(target).unwrap_or(u32::MAX);
                if !own.iter().any(|range| range.contains(&address)) {
                    let (module, symbol) = (self.module.to_owned(), name.to_owned());
                    return Err(ImageError::Outside { module, symbol, address });
                }
            }
        }
        Ok(())
    }

    fn address(&self, address: u64) -> Result<u16, ImageError> {
        u16::try_from(address).map_err(|_| unexpected(self.module, &format!("an address {address:#x}")))
    }
}

pub(crate) fn unexpected(module: &str, reason: &str) -> ImageError {
    ImageError::Unexpected { module: module.to_owned(), reason: reason.to_owned() }
}
