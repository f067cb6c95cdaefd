//! Device trees: read, changed and written again.
//!
//! # Source
//! Devicetree Specification 0.4, chapter 5 (flattened format, version 17).

/// A node of a device tree.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Node {
    /// Its name, with the unit address; empty for the root.
    pub name: String,
    /// Its properties, in their order.
    pub properties: Vec<(String, Vec<u8>)>,
    /// Its children, in their order.
    pub children: Vec<Self>,
}

/// A whole tree with what lies beside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tree {
    /// The root.
    pub root: Node,
    /// Memory that nobody may use: address and length.
    pub reserved: Vec<(u64, u64)>,
}

/// Bytes are no device tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the device tree is damaged")]
pub struct Damaged;

impl Node {
    /// The child of this name, made if there is none.
    pub fn child(&mut self, name: &str) -> &mut Self {
        let index = self.children.iter().position(|child| child.name == name).unwrap_or_else(|| {
            self.children.push(Self { name: name.to_owned(), ..Self::default() });
            self.children.len() - 1
        });
        &mut self.children[index]
    }

    /// The value of a property.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&[u8]> {
        self.properties.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_slice())
    }

    /// Gives a property this value, whether it was there or not.
    pub fn set(&mut self, name: &str, value: Vec<u8>) {
        match self.properties.iter_mut().find(|(found, _)| found == name) {
            Some(property) => property.1 = value,
            None => self.properties.push((name.to_owned(), value)),
        }
    }

    /// Gives a property a text.
    pub fn set_text(&mut self, name: &str, text: &str) {
        let mut value = text.as_bytes().to_vec();
        value.push(0);
        self.set(name, value);
    }
}

impl Tree {
    /// Reads a flattened tree.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn read(bytes: &[u8]) -> Result<Self, Damaged> {
        if word(bytes, 0)? != MAGIC {
            return Err(Damaged);
        }
        let [structure, strings, reservations] = [8, 12, 16].map(|offset| word(bytes, offset));
        let mut reserved = Vec::new();
        let mut offset = size(reservations?);
        loop {
            let pair = (long(bytes, offset)?, long(bytes, offset + 8)?);
            if pair == (0, 0) {
                break;
            }
            reserved.push(pair);
            offset += 16;
        }
        let mut reader = Reader { bytes, offset: size(structure?), strings: size(strings?) };
        while reader.peek()? == NOP {
            reader.next()?;
        }
        if reader.next()? != BEGIN_NODE {
            return Err(Damaged);
        }
        Ok(Self { root: reader.node(0)?, reserved })
    }

    /// Writes the tree flattened, with room for others to add to it.
    #[must_use]
    pub fn write(&self, room: usize) -> Vec<u8> {
        let (mut structure, mut strings) = (Vec::new(), Vec::new());
        write_node(&self.root, &mut structure, &mut strings);
        structure.extend(END.to_be_bytes());
        let mut reservations = Vec::new();
        for (address, length) in self.reserved.iter().chain(&[(0, 0)]) {
            reservations.extend(address.to_be_bytes());
            reservations.extend(length.to_be_bytes());
        }
        let structure_at = HEADER_BYTES + reservations.len();
        let strings_at = structure_at + structure.len();
        let total = (strings_at + strings.len() + room).next_multiple_of(8);
        let header = [
            size_word(total),
            size_word(structure_at),
            size_word(strings_at),
            size_word(HEADER_BYTES),
            17,
            16,
            0,
            size_word(strings.len()),
            size_word(structure.len()),
        ];
        let mut bytes = MAGIC.to_be_bytes().to_vec();
        bytes.extend(header.iter().flat_map(|word| word.to_be_bytes()));
        bytes.extend(reservations);
        bytes.extend(structure);
        bytes.extend(strings);
        bytes.resize(total, 0);
        bytes
    }
}

fn write_node(node: &Node, structure: &mut Vec<u8>, strings: &mut Vec<u8>) {
    structure.extend(BEGIN_NODE.to_be_bytes());
    structure.extend(node.name.as_bytes());
    structure.push(0);
    align(structure);
    for (name, value) in &node.properties {
        let offset = intern(name, strings);
        structure
            .extend([PROPERTY, size_word(value.len()), size_word(offset)].iter().flat_map(|word| word.to_be_bytes()));
        structure.extend(value);
        align(structure);
    }
    for child in &node.children {
        write_node(child, structure, strings);
    }
    structure.extend(END_NODE.to_be_bytes());
}

/// Where a name lies among the strings; it is added once.
fn intern(name: &str, strings: &mut Vec<u8>) -> usize {
    let mut wanted = name.as_bytes().to_vec();
    wanted.push(0);
    let starts = |offset: &usize| *offset == 0 || strings[offset - 1] == 0;
    let found = (0..strings.len()).filter(starts).find(|offset| strings[*offset..].starts_with(&wanted));
    found.unwrap_or_else(|| {
        strings.extend(wanted);
        strings.len() - name.len() - 1
    })
}

fn align(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
    strings: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Result<u32, Damaged> {
        word(self.bytes, self.offset)
    }

    fn next(&mut self) -> Result<u32, Damaged> {
        let token = self.peek()?;
        self.offset += 4;
        Ok(token)
    }

    /// The rest of a node whose begin was read.
    fn node(&mut self, depth: usize) -> Result<Node, Damaged> {
        if depth > DEPTH_MAX {
            return Err(Damaged);
        }
        let name = text(self.bytes, self.offset)?;
        self.offset = (self.offset + name.len() + 1).next_multiple_of(4);
        let mut node = Node { name, ..Node::default() };
        loop {
            match self.next()? {
                PROPERTY => node.properties.push(self.property()?),
                BEGIN_NODE => node.children.push(self.node(depth + 1)?),
                END_NODE => return Ok(node),
                NOP => {}
                _ => return Err(Damaged),
            }
        }
    }

    fn property(&mut self) -> Result<(String, Vec<u8>), Damaged> {
        let length = size(self.next()?);
        let name = size(self.next()?);
        let value = self.offset.checked_add(length).and_then(|end| self.bytes.get(self.offset..end)).ok_or(Damaged)?;
        self.offset = (self.offset + length).next_multiple_of(4);
        Ok((text(self.bytes, self.strings + name)?, value.to_vec()))
    }
}

fn word(bytes: &[u8], offset: usize) -> Result<u32, Damaged> {
    let found = bytes.get(offset..).and_then(|rest| rest.first_chunk()).ok_or(Damaged)?;
    Ok(u32::from_be_bytes(*found))
}

fn long(bytes: &[u8], offset: usize) -> Result<u64, Damaged> {
    Ok(u64::from(word(bytes, offset)?) << 32 | u64::from(word(bytes, offset + 4)?))
}

fn text(bytes: &[u8], offset: usize) -> Result<String, Damaged> {
    let rest = bytes.get(offset..).ok_or(Damaged)?;
    let end = rest.iter().position(|byte| *byte == 0).ok_or(Damaged)?;
    String::from_utf8(rest[..end].to_vec()).map_err(|_| Damaged)
}

fn size(word: u32) -> usize {
    usize::try_from(word).unwrap_or(usize::MAX / 2)
}

/// Trees are far smaller than 4 GiB.
fn size_word(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

const MAGIC: u32 = 0xd00d_feed;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;
const HEADER_BYTES: usize = 40;
const DEPTH_MAX: usize = 32;

#[cfg(test)]
mod tests;
