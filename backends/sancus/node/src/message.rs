//! Requests to a board and its responses (`docs/design/0008-serial-line.md`). Whatever a board says is untrusted.

use core::ops::Range;

/// Kinds of requests.
pub(crate) mod kind {
    pub(crate) const HELLO: u8 = 0x01;
    pub(crate) const LIST: u8 = 0x02;
    pub(crate) const RESERVE: u8 = 0x03;
    pub(crate) const WRITE: u8 = 0x04;
    pub(crate) const ENABLE: u8 = 0x05;
    pub(crate) const UNLOAD: u8 = 0x06;
    pub(crate) const CALL: u8 = 0x07;
    pub(crate) const FETCH: u8 = 0x08;
    pub(crate) const RELEASE: u8 = 0x09;
}

/// Version of the line that this driver speaks.
pub(crate) const LINE_VERSION: u16 = 1;
/// Bytes of text in one `write`.
pub(crate) const WRITE_BYTES_MAX: usize = 632;

/// A response's code other than 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Code {
    Unknown,
    Malformed,
    NoHandle,
    WrongState,
    NotFree,
    NoHandleFree,
    Refused,
    NoRoom,
    OldCall,
    NoOutput,
    Nothing,
    /// One that the line does not have.
    Other(u8),
}

impl From<u8> for Code {
    fn from(code: u8) -> Self {
        match code {
            1 => Self::Unknown,
            2 => Self::Malformed,
            3 => Self::NoHandle,
            4 => Self::WrongState,
            5 => Self::NotFree,
            6 => Self::NoHandleFree,
            7 => Self::Refused,
            8 => Self::NoRoom,
            9 => Self::OldCall,
            10 => Self::NoOutput,
            11 => Self::Nothing,
            other => Self::Other(other),
        }
    }
}

/// A response that makes no sense.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("its answer makes no sense")]
pub(crate) struct Nonsense;

/// Splits a response into its code and what is behind it.
pub(crate) fn open(response: &[u8]) -> Result<Result<&[u8], Code>, Nonsense> {
    match response {
        [0, 0, rest @ ..] => Ok(Ok(rest)),
        [code, 0] if *code != 0 => Ok(Err(Code::from(*code))),
        _ => Err(Nonsense),
    }
}

/// Fields one after another.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Nonsense> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Nonsense)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, Nonsense> {
        self.array().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, Nonsense> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, Nonsense> {
        self.array().map(u32::from_le_bytes)
    }

    fn range(&mut self) -> Result<Range<u32>, Nonsense> {
        let range = u32::from(self.u16()?)..u32::from(self.u16()?);
        // An end of 0 is the end of the addresses.
        Ok(if range.end == 0 && range.start > 0 { range.start..0x1_0000 } else { range })
    }

    const fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// Which life of a board.
pub(crate) type Boot = [u8; 8];

/// What a board says first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Hello {
    pub(crate) boot: Boot,
    pub(crate) profile: u8,
    pub(crate) freshness: u8,
    pub(crate) key_bytes: u8,
    pub(crate) text: Range<u32>,
    pub(crate) secret: Range<u32>,
    pub(crate) last_call: u32,
    pub(crate) oldest: u32,
    pub(crate) ring_free: u16,
    pub(crate) input_max: u16,
}

/// Reads a hello; the other version when it is another.
pub(crate) fn hello(bytes: &[u8]) -> Result<Result<Hello, u16>, Nonsense> {
    let mut fields = Fields(bytes);
    let version = fields.u16()?;
    if version != LINE_VERSION {
        return Ok(Err(version));
    }
    let _firmware = fields.u16()?;
    let boot = fields.array()?;
    let (profile, freshness, key_bytes) = (fields.u8()?, fields.u8()?, fields.u8()?);
    let [_handles_free, _slots_free, _drivers] = fields.array()?;
    let (text, secret) = (fields.range()?, fields.range()?);
    let (last_call, oldest, _next) = (fields.u32()?, fields.u32()?, fields.u32()?);
    let (ring_free, input_max) = (fields.u16()?, fields.u16()?);
    if !fields.rest().is_empty() {
        return Err(Nonsense);
    }
    Ok(Ok(Hello { boot, profile, freshness, key_bytes, text, secret, last_call, oldest, ring_free, input_max }))
}

/// What a handle is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HandleState {
    Reserved,
    Enabled,
    Driver,
}

/// A handle in use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Handle {
    pub(crate) handle: u8,
    pub(crate) state: HandleState,
    pub(crate) text: Range<u32>,
    pub(crate) secret: Range<u32>,
}

/// Reads a list of handles.
pub(crate) fn list(bytes: &[u8]) -> Result<Vec<Handle>, Nonsense> {
    let (entries, rest) = bytes.as_chunks::<HANDLE_BYTES>();
    if !rest.is_empty() {
        return Err(Nonsense);
    }
    entries.iter().map(|entry| handle(entry)).collect()
}

fn handle(entry: &[u8]) -> Result<Handle, Nonsense> {
    let mut fields = Fields(entry);
    let handle = fields.u8()?;
    let state = match fields.u8()? {
        1 => HandleState::Reserved,
        2 => HandleState::Enabled,
        3 => HandleState::Driver,
        _ => return Err(Nonsense),
    };
    let (_id, _vendor) = (fields.u16()?, fields.u16()?);
    Ok(Handle { handle, state, text: fields.range()?, secret: fields.range()? })
}

/// An output, or the front of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Part<'a> {
    /// Its number in the ring.
    pub(crate) output: u32,
    /// The call that it answers; 0 for none.
    pub(crate) call: u32,
    pub(crate) handle: u8,
    /// Length of the whole output in bytes.
    pub(crate) length: usize,
    pub(crate) offset: usize,
    pub(crate) bytes: &'a [u8],
}

/// Reads the response to `call`: number, whole length, and as much as fitted.
pub(crate) fn called(bytes: &[u8]) -> Result<(u32, usize, &[u8]), Nonsense> {
    let mut fields = Fields(bytes);
    let (output, length) = (fields.u32()?, usize::from(fields.u16()?));
    let bytes = fields.rest();
    if output == 0 || bytes.len() > length { Err(Nonsense) } else { Ok((output, length, bytes)) }
}

/// Reads the response to `fetch`.
pub(crate) fn fetched(bytes: &[u8]) -> Result<Part<'_>, Nonsense> {
    let mut fields = Fields(bytes);
    let (output, call) = (fields.u32()?, fields.u32()?);
    let [handle, _] = fields.array()?;
    let (length, offset) = (usize::from(fields.u16()?), usize::from(fields.u16()?));
    let bytes = fields.rest();
    if output == 0 || offset + bytes.len() > length || (bytes.is_empty() && offset < length) {
        return Err(Nonsense);
    }
    Ok(Part { output, call, handle, length, offset, bytes })
}

/// Payload of `reserve`.
pub(crate) fn reserve(text: u16, text_bytes: u16, secret: u16, secret_bytes: u16) -> Vec<u8> {
    [text, text_bytes, secret, secret_bytes].iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Reads the response to `reserve`.
pub(crate) const fn reserved(bytes: &[u8]) -> Result<u8, Nonsense> {
    match bytes {
        [handle, 0] => Ok(*handle),
        _ => Err(Nonsense),
    }
}

/// Payload of `write`.
pub(crate) fn write(handle: u8, offset: u16, text: &[u8]) -> Vec<u8> {
    let mut bytes = vec![handle, 0];
    bytes.extend_from_slice(&offset.to_le_bytes());
    bytes.extend_from_slice(text);
    bytes
}

/// Payload of `enable`.
pub(crate) fn enable(handle: u8, vendor: u16, room: u16, poll: u16) -> Vec<u8> {
    let mut bytes = vec![handle, 0];
    bytes.extend([vendor, room, poll].iter().flat_map(|number| number.to_le_bytes()));
    bytes
}

/// Payload of `call`.
pub(crate) fn call(handle: u8, call: u32, op: u16, input: &[u8]) -> Vec<u8> {
    let mut bytes = vec![handle, 0];
    bytes.extend_from_slice(&call.to_le_bytes());
    bytes.extend_from_slice(&op.to_le_bytes());
    bytes.extend_from_slice(input);
    bytes
}

/// Payload of `fetch`.
pub(crate) fn fetch(output: u32, offset: u16) -> Vec<u8> {
    let mut bytes = output.to_le_bytes().to_vec();
    bytes.extend_from_slice(&offset.to_le_bytes());
    bytes
}

const HANDLE_BYTES: usize = 16;
