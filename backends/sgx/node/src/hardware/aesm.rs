//! Quotes through AESM: Intel's service that has the quoting enclave.
//!
//! One connection to its socket is one request: length (u32, of the machine), message; then the same of the answer. Messages
//! are protocol buffers with one field, the request's number, that holds the request:
//!
//! | request | number | fields | fields of the answer |
//! |---|---|---|---|
//! | GetSupportedAttKeyIDNum | 21 | 9: time | 2: count |
//! | GetSupportedAttKeyIDs | 22 | 1: room, 9: time | 2: ids, 256 bytes each |
//! | InitQuoteEx | 15 | 1: id, 3: with its public key, 4: room, 9: time | 2: TARGETINFO, 3: room that is needed |
//! | GetQuoteSizeEx | 16 | 1: id, 9: time | 2: bytes |
//! | GetQuoteEx | 17 | 1: REPORT, 2: id, 4: room, 9: time | 2: quote |
//!
//! Field 1 of every answer is an error code, 0 for none. Times are microseconds.
//!
//! # Source
//! Intel's `linux-sgx`: `messages.proto` and `aesm_error.h` of its AESM service, `sgx_quote.h`.

use crate::platform::identity::{REPORT_BYTES, TARGET_BYTES};
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the service listens.
pub(crate) const SOCKET: &str = "/var/run/aesmd/aesm.socket";
/// How long it may take: it may ask Intel's services first.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const INIT_QUOTE: u64 = 15;
const QUOTE_SIZE: u64 = 16;
const QUOTE: u64 = 17;
const KEY_COUNT: u64 = 21;
const KEYS: u64 = 22;
/// Field of every request: the service's own patience.
const TIME: u64 = 9;

/// Bytes of `sgx_att_key_id_ext_t`, and where it names its algorithm: ECDSA over P-256, the one of DCAP.
const KEY_ID_BYTES: usize = 256;
const ALGORITHM: usize = 154;
const ECDSA_P256: [u8; 4] = 2_u32.to_le_bytes();
/// What is believed of a service: no longer answers, no more keys, no longer quotes.
const ANSWER_BYTES_MAX: u32 = 1 << 20;
const KEYS_MAX: u64 = 64;
const QUOTE_BYTES_MAX: u64 = 1 << 16;

/// Kinds of fields in a protocol buffer.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;
const FIXED_32: u64 = 5;

/// Why there is no quote.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AesmError {
    /// The service is not reached, or does not answer in time.
    #[error("AESM at {} does not answer: {source}", socket.display())]
    Unreachable { socket: PathBuf, source: io::Error },
    /// The service refused.
    #[error("AESM refuses {what} with code {code}{}", words(*code))]
    Refused { what: &'static str, code: u64 },
    /// The answer makes no sense.
    #[error("AESM answers {what} with nonsense")]
    Nonsense { what: &'static str },
    /// The machine makes other quotes only.
    #[error("AESM has no key for DCAP quotes (ECDSA): install its quoting plug-in (libsgx-aesm-quote-ex-plugin)")]
    NoKey,
}

/// What codes mean that a person can do something about.
const fn words(code: u64) -> &'static str {
    match code {
        2 | 24 => ": it has no SGX device",
        12 | 13 => ": it does not reach Intel's or the machine's certification service (PCCS)",
        16 => ": the platform is not provisioned",
        17 | 18 | 30 => ": it is stopped or busy",
        29 => ": there is no protected memory left",
        31 | 44 => ": it has no certificate of this platform; is a certification service (PCCS) configured?",
        38 => ": it does not know the key",
        42 => ": its key is not initialised",
        47 => ": the report is not one of this machine for its quoting enclave",
        _ => "",
    }
}

/// The service, with the key that it quotes with.
#[derive(Debug)]
pub(crate) struct Aesm {
    socket: PathBuf,
    patience: Duration,
    key: Vec<u8>,
    target: [u8; TARGET_BYTES],
}

impl Aesm {
    /// Asks the service for its key of DCAP, and has it made ready.
    pub(crate) fn open(socket: &Path, patience: Duration) -> Result<Self, AesmError> {
        let mut this = Self { socket: socket.to_owned(), patience, key: Vec::new(), target: [0; TARGET_BYTES] };
        this.key = this.dcap_key()?;
        this.target = this.init()?;
        Ok(this)
    }

    /// TARGETINFO of the quoting enclave.
    pub(crate) const fn target(&self) -> [u8; TARGET_BYTES] {
        self.target
    }

    /// The quote of a report that was made for the quoting enclave.
    pub(crate) fn quote(&self, report: &[u8; REPORT_BYTES]) -> Result<Vec<u8>, AesmError> {
        let size = self.ask("a quote's size", QUOTE_SIZE, Message::default().bytes(1, &self.key))?;
        let nonsense = AesmError::Nonsense { what: "a quote's size" };
        let size = size.number(2).filter(|size| *size <= QUOTE_BYTES_MAX).ok_or(nonsense)?;
        let message = Message::default().bytes(1, report).bytes(2, &self.key).number(4, size);
        let answer = self.ask("a quote", QUOTE, message)?;
        trimmed(answer.slice(2)).ok_or(AesmError::Nonsense { what: "a quote" })
    }

    fn dcap_key(&self) -> Result<Vec<u8>, AesmError> {
        let what = "its keys";
        let nonsense = || AesmError::Nonsense { what };
        let count = self.ask(what, KEY_COUNT, Message::default())?.number(2);
        let count = count.filter(|count| *count <= KEYS_MAX).ok_or_else(nonsense)?;
        let keys = self.ask(what, KEYS, Message::default().number(1, count * KEY_ID_BYTES as u64))?;
        let keys = keys.slice(2);
        if keys.len() as u64 != count * KEY_ID_BYTES as u64 {
            return Err(nonsense());
        }
        let mut keys = keys.chunks_exact(KEY_ID_BYTES);
        let key = keys.find(|key| key[ALGORITHM..ALGORITHM + 4] == ECDSA_P256);
        key.map(<[u8]>::to_vec).ok_or(AesmError::NoKey)
    }

    /// Twice, as the service wants it: the second time with room for the key's public half, which nobody needs here.
    fn init(&self) -> Result<[u8; TARGET_BYTES], AesmError> {
        let what = "to begin";
        let message = |public: u64, room: u64| Message::default().bytes(1, &self.key).number(3, public).number(4, room);
        let first = self.ask(what, INIT_QUOTE, message(0, 0))?;
        let room = first.number(3).unwrap_or(0).min(QUOTE_BYTES_MAX);
        let second = self.ask(what, INIT_QUOTE, message(1, room))?;
        second.slice(2).try_into().map_err(|_| AesmError::Nonsense { what })
    }

    /// One request on a connection of its own.
    fn ask(&self, what: &'static str, request: u64, message: Message) -> Result<Answer, AesmError> {
        let time = u64::try_from(self.patience.as_micros()).unwrap_or(u64::MAX);
        let message = Message::default().bytes(request, &message.number(TIME, time).0);
        let unreachable = |source| AesmError::Unreachable { socket: self.socket.clone(), source };
        let answer = self.exchange(&message.0).map_err(unreachable)?;
        let answer = Answer(answer).field(request).map(|body| Answer(body.to_vec()));
        let answer = answer.ok_or(AesmError::Nonsense { what })?;
        match answer.number(1) {
            Some(0) => Ok(answer),
            Some(code) => Err(AesmError::Refused { what, code }),
            None => Err(AesmError::Nonsense { what }),
        }
    }

    fn exchange(&self, message: &[u8]) -> io::Result<Vec<u8>> {
        let mut socket = UnixStream::connect(&self.socket)?;
        socket.set_read_timeout(Some(self.patience))?;
        socket.set_write_timeout(Some(self.patience))?;
        let length = u32::try_from(message.len()).map_err(io::Error::other)?;
        socket.write_all(&[&length.to_ne_bytes()[..], message].concat())?;
        let mut length = [0; 4];
        socket.read_exact(&mut length)?;
        let length = u32::from_ne_bytes(length);
        if length > ANSWER_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("an answer of {length} bytes")));
        }
        let mut answer = Vec::new();
        socket.take(length.into()).read_to_end(&mut answer)?;
        if answer.len() as u64 == u64::from(length) { Ok(answer) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// A quote without what fills its room up: it says its length itself.
fn trimmed(quote: &[u8]) -> Option<Vec<u8>> {
    let (front, length) = (436, quote.get(432..)?.first_chunk::<4>()?);
    let end = usize::try_from(u32::from_le_bytes(*length)).ok()?.checked_add(front)?;
    quote.get(..end).map(<[u8]>::to_vec)
}

/// A protocol buffer to be sent.
#[derive(Default)]
pub(crate) struct Message(pub(crate) Vec<u8>);

impl Message {
    pub(crate) fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3 | VARINT);
        self.varint(value);
        self
    }

    pub(crate) fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.varint(field << 3 | BYTES);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }
}

/// A protocol buffer that was received: nothing of it is believed.
#[derive(Debug)]
pub(crate) struct Answer(pub(crate) Vec<u8>);

impl Answer {
    /// Bytes of a field; none when it is not there.
    pub(crate) fn slice(&self, field: u64) -> &[u8] {
        self.field(field).unwrap_or_default()
    }

    pub(crate) fn field(&self, wanted: u64) -> Option<&[u8]> {
        self.fields().find_map(|found| match found {
            (field, Value::Bytes(bytes)) if field == wanted => Some(bytes),
            _ => None,
        })
    }

    pub(crate) fn number(&self, wanted: u64) -> Option<u64> {
        self.fields().find_map(|found| match found {
            (field, Value::Number(number)) if field == wanted => Some(number),
            _ => None,
        })
    }

    /// All fields, up to the first that is none.
    fn fields(&self) -> impl Iterator<Item = (u64, Value<'_>)> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let key = varint(&mut rest)?;
            let value = match key & 7 {
                VARINT => Value::Number(varint(&mut rest)?),
                BYTES => {
                    let length = usize::try_from(varint(&mut rest)?).ok()?;
                    Value::Bytes(take(&mut rest, length)?)
                }
                FIXED_64 => Value::Other(take(&mut rest, 8)?),
                FIXED_32 => Value::Other(take(&mut rest, 4)?),
                _ => return None,
            };
            Some((key >> 3, value))
        })
    }
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a kind that no answer has.
    Other(#[expect(dead_code, reason = "only passed over")] &'a [u8]),
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (front, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(front)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
