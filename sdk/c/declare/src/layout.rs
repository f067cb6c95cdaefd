//! Payload types: layouts, hashes, and which values have a meaning.

use crate::Mistake;
use crate::tokens::{Declaration, Place, Token};
use veritee::{Hasher, TypeHash};

/// Longest payload of a module in C: lengths are 16-bit.
const BYTES_MAX: usize = 0xff00;
/// What `VT_BYTES` leaves.
const BYTES_MARK: &str = "veritee_bytes";

/// Which values of a number have a meaning.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Meaning {
    /// Where it lies.
    pub(crate) offset: usize,
    /// Its length in bytes.
    pub(crate) width: usize,
    /// The values, as unsigned numbers, sorted.
    pub(crate) values: Vec<u64>,
}

/// A type that a field or port can have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Type {
    pub(crate) name: String,
    pub(crate) hash: TypeHash,
    /// Longest payload in bytes.
    pub(crate) bytes: usize,
    /// Its alignment in C.
    align: usize,
    /// Offset of the length of a trailing byte string.
    pub(crate) trailing: Option<usize>,
    pub(crate) meanings: Vec<Meaning>,
    /// Declared by the author: a port can carry it.
    pub(crate) declared: bool,
}

impl Type {
    /// Its length in C, with the byte that may fill its end.
    pub(crate) const fn c_bytes(&self) -> usize {
        self.bytes.next_multiple_of(self.align)
    }

    fn number(c_name: &str) -> Option<Self> {
        let name = match c_name {
            "uint8_t" => "u8",
            "uint16_t" => "u16",
            "uint32_t" => "u32",
            "uint64_t" => "u64",
            "int8_t" => "i8",
            "int16_t" => "i16",
            "int32_t" => "i32",
            "int64_t" => "i64",
            "bool" | "_Bool" => "bool",
            _ => return None,
        };
        let bytes = name.get(1..).and_then(|bits| bits.parse::<usize>().ok()).map_or(1, |bits| bits / 8);
        let boolean = name == "bool";
        let meanings = if boolean { vec![Meaning { offset: 0, width: 1, values: vec![0, 1] }] } else { Vec::new() };
        let hash = Hasher::new(name).finish();
        Some(Self {
            name: name.to_owned(),
            hash,
            bytes,
            align: bytes.min(2),
            trailing: None,
            meanings,
            declared: false,
        })
    }

    fn array(element: &Self, count: usize) -> Self {
        let count_bytes = u64::try_from(count).unwrap_or(u64::MAX).to_le_bytes();
        let meanings = (0..count).flat_map(|index| element.meanings_at(index * element.bytes)).collect();
        Self {
            name: "array".to_owned(),
            hash: Hasher::new("array").field("", element.hash).bytes(&count_bytes).finish(),
            bytes: element.bytes * count,
            align: element.align,
            trailing: None,
            meanings,
            declared: false,
        }
    }

    fn bytes(most: usize) -> Self {
        let most_bytes = u64::try_from(most).unwrap_or(u64::MAX).to_le_bytes();
        let hash = Hasher::new("bytes").bytes(&most_bytes).finish();
        let name = "bytes".to_owned();
        Self { name, hash, bytes: 2 + most, align: 2, trailing: Some(0), meanings: Vec::new(), declared: false }
    }

    fn meanings_at(&self, offset: usize) -> impl Iterator<Item = Meaning> {
        self.meanings.iter().map(move |meaning| Meaning { offset: offset + meaning.offset, ..meaning.clone() })
    }
}

/// The payload types of a module.
#[derive(Default)]
pub(crate) struct Types {
    known: Vec<(Type, Place)>,
}

impl Types {
    /// A type by its name in C.
    pub(crate) fn find(&self, name: &str) -> Option<Type> {
        let declared = self.known.iter().find(|(known, _)| known.name == name);
        declared.map(|(known, _)| known.clone()).or_else(|| Type::number(name))
    }

    /// Adds `VT_STRUCT` or `VT_ENUM`. A header that several sources include declares the same again.
    pub(crate) fn declare(&mut self, declaration: &Declaration) -> Result<(), Mistake> {
        let place = &declaration.place;
        let made = if declaration.kind == "struct" { self.structure(declaration)? } else { enumeration(declaration)? };
        match self.known.iter().find(|(known, _)| known.name == made.name) {
            Some((known, _)) if *known == made => return Ok(()),
            Some((_, first)) => {
                let advice = format!("the type `{}` was declared before, at {}:{}", made.name, first.file, first.line);
                return Err(place.mistake(advice));
            }
            None if Type::number(&made.name).is_some() => {
                return Err(place.mistake(format!("`{}` is a type of C; give this one another name", made.name)));
            }
            None => self.known.push((made, place.clone())),
        }
        Ok(())
    }

    fn structure(&self, declaration: &Declaration) -> Result<Type, Mistake> {
        let place = &declaration.place;
        let form = "write `VT_STRUCT(Name, { int16_t field; });`";
        let (name, body) = match declaration.arguments.as_slice() {
            [name, body] => (one_name(name), braced(body)),
            _ => (None, None),
        };
        let (Some(name), Some(body)) = (name, body) else { return Err(place.mistake(form)) };
        let mut hasher = Hasher::new(&name);
        let mut made = Type {
            name,
            hash: hasher.finish(),
            bytes: 0,
            align: 1,
            trailing: None,
            meanings: Vec::new(),
            declared: true,
        };
        let mut padded: Option<String> = None;
        for field in body.split(|token| token.is(';')).filter(|field| !field.is_empty()) {
            let (field_name, field) = self.field(place, &made.name, field)?;
            fits(place, &made, &field_name, &field, padded.as_deref())?;
            hasher = hasher.field(&field_name, field.hash);
            made.meanings.extend(field.meanings_at(made.bytes));
            made.trailing = field.trailing.map(|offset| made.bytes + offset);
            made.bytes += field.bytes;
            made.align = made.align.max(field.align);
            padded = (field.c_bytes() != field.bytes).then_some(field_name);
        }
        if made.bytes > BYTES_MAX {
            return Err(place.mistake(format!("`{}` has {} bytes; at most {BYTES_MAX}", made.name, made.bytes)));
        }
        made.hash = hasher.finish();
        Ok(made)
    }

    /// One field: `type name`, `type name[4]` or `VT_BYTES(4) name`.
    fn field(&self, place: &Place, owner: &str, tokens: &[Token]) -> Result<(String, Type), Mistake> {
        let (kind, rest) = tokens.split_first().unwrap_or((&Token::Sign(';'), &[]));
        let kind = kind.name().unwrap_or_default();
        let (inner, rest) = match rest {
            [Token::Sign('['), Token::Number(most), Token::Sign(']'), rest @ ..] if kind == BYTES_MARK => {
                let most = number(most).filter(|most| (1..=0xfef0).contains(most));
                let most = most.and_then(|most| usize::try_from(most).ok());
                let most = most.ok_or_else(|| place.mistake("a byte string has 1 to 65264 bytes: `VT_BYTES(64)`"))?;
                (Some(Type::bytes(most)), rest)
            }
            rest => (self.find(kind), rest),
        };
        let shown = || rest.first().and_then(Token::name).unwrap_or("?").to_owned();
        let Some(inner) = inner else {
            return Err(place.mistake(format!(
                "field `{}` of `{owner}` has the type `{kind}`, which has no fixed layout; there are uint8_t to uint64_t, \
                 int8_t to int64_t, bool, arrays, VT_BYTES(n), and types of VT_STRUCT and VT_ENUM",
                shown()
            )));
        };
        match rest {
            [Token::Name(name)] => Ok((name.clone(), inner)),
            [Token::Name(name), Token::Sign('['), Token::Number(count), Token::Sign(']')] => {
                let count = number(count).and_then(|count| usize::try_from(count).ok());
                let count = count.filter(|count| (1..=BYTES_MAX).contains(count));
                let count =
                    count.filter(|_| inner.trailing.is_none() && inner.c_bytes() == inner.bytes && inner.bytes > 0);
                let message = format!("array `{name}` of `{owner}` has elements of fixed length without padding");
                count.map(|count| (name.clone(), Type::array(&inner, count))).ok_or_else(|| place.mistake(message))
            }
            _ => Err(place.mistake(format!("a field of `{owner}` is `type name;` or `type name[4];`, one at a time"))),
        }
    }
}

/// Whether a field lies in C where it lies on the wire.
fn fits(place: &Place, owner: &Type, name: &str, field: &Type, padded: Option<&str>) -> Result<(), Mistake> {
    if let (Some(_), true) = (owner.trailing, owner.bytes > 0) {
        return Err(place.mistake(format!(
            "field `{name}` of `{}` stands behind a byte string; only the last field can be one",
            owner.name
        )));
    }
    if let Some(before) = padded {
        return Err(place.mistake(format!(
            "field `{before}` of `{}` has an odd length, so `{name}` behind it would lie elsewhere in C; put it last",
            owner.name
        )));
    }
    if owner.bytes.is_multiple_of(field.align) {
        return Ok(());
    }
    Err(place.mistake(format!(
        "field `{name}` of `{}` lies at the odd offset {}; put `uint8_t reserved;` before it",
        owner.name, owner.bytes
    )))
}

/// `VT_ENUM(Name, uint8_t, { Name_First = 0, … })`.
fn enumeration(declaration: &Declaration) -> Result<Type, Mistake> {
    let place = &declaration.place;
    let form = "write `VT_ENUM(Name, uint8_t, { Name_First = 0, Name_Second = 1 });`";
    let (name, number, body) = match declaration.arguments.as_slice() {
        [name, number, body] => (one_name(name), one_name(number), braced(body)),
        _ => (None, None, None),
    };
    let (Some(name), Some(number), Some(body)) = (name, number, body) else { return Err(place.mistake(form)) };
    let allowed = ["uint8_t", "uint16_t", "uint32_t", "int8_t", "int16_t", "int32_t"].contains(&number.as_str());
    let inner = Type::number(&number).filter(|_| allowed).ok_or_else(|| {
        place.mistake(format!("the enum `{name}` is as long as uint8_t, uint16_t or uint32_t, not `{number}`"))
    })?;
    let mut hasher = Hasher::new(&name).field("", inner.hash);
    let mut values = Vec::new();
    for constant in body.split(|token| token.is(',')).filter(|constant| !constant.is_empty()) {
        let (text, value) = constant_of(constant)
            .ok_or_else(|| place.mistake(format!("each constant of `{name}` has a number: `{name}_First = 0`")))?;
        let bits = 8 * inner.bytes;
        let least = if inner.name.starts_with('i') { -(1_i128 << (bits - 1)) } else { 0 };
        let above = 1_i128 << (bits - usize::from(inner.name.starts_with('i')));
        if !(least..above).contains(&i128::from(value)) {
            return Err(place.mistake(format!("{value} does not fit `{name}`, which is a {number}")));
        }
        let short = text.strip_prefix(&name).and_then(|rest| rest.strip_prefix('_')).unwrap_or(&text);
        hasher = hasher.field(short, TypeHash(value.to_le_bytes()));
        let pattern = value.cast_unsigned() & (u64::MAX >> (64 - bits));
        if values.contains(&pattern) {
            return Err(place.mistake(format!("two constants of `{name}` have the number {value}")));
        }
        values.push(pattern);
    }
    if values.is_empty() {
        return Err(place.mistake(form));
    }
    values.sort_unstable();
    let meanings = vec![Meaning { offset: 0, width: inner.bytes, values }];
    Ok(Type { name, hash: hasher.finish(), meanings, declared: true, ..inner })
}

/// `Name = 3` or `Name = -3`.
fn constant_of(tokens: &[Token]) -> Option<(String, i64)> {
    let (name, negative, value) = match tokens {
        [Token::Name(name), Token::Sign('='), Token::Number(value)] => (name, false, value),
        [Token::Name(name), Token::Sign('='), Token::Sign('-'), Token::Number(value)] => (name, true, value),
        _ => return None,
    };
    let value = i64::try_from(number(value)?).ok()?;
    Some((name.clone(), if negative { -value } else { value }))
}

pub(crate) fn one_name(tokens: &[Token]) -> Option<String> {
    if let [Token::Name(name)] = tokens { Some(name.clone()) } else { None }
}

fn braced(tokens: &[Token]) -> Option<&[Token]> {
    match tokens {
        [Token::Sign('{'), inside @ .., Token::Sign('}')] => Some(inside),
        _ => None,
    }
}

/// A number of C: decimal, octal or hexadecimal, with or without suffix.
pub(crate) fn number(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(['u', 'U', 'l', 'L']);
    match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None if digits.len() > 1 && digits.starts_with('0') => u64::from_str_radix(digits, 8).ok(),
        None => digits.parse().ok(),
    }
}
