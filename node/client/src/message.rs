//! Messages of the control interface on a stream: a length (u32, little-endian), then CBOR.

use minicbor::{Decode, Encode};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Encodes a message behind its length.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] when it is longer than `bytes_max`.
///
/// # Panics
/// Never: writing to memory cannot fail.
pub fn encode<T: Encode<()>>(message: &T, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    minicbor::encode(message, &mut bytes).expect("writing to memory cannot fail");
    let length = bytes.len() - 4;
    match u32::try_from(length) {
        Ok(front) if length <= bytes_max => {
            bytes[..4].copy_from_slice(&front.to_le_bytes());
            Ok(bytes)
        }
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("a message of {length} bytes is longer than {bytes_max}"),
        )),
    }
}

/// Reads the bytes of the next message; `None` when the stream ended between two messages.
///
/// Memory is claimed as bytes arrive, never on the word of a length.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] when the length is above `bytes_max`; [`io::ErrorKind::UnexpectedEof`] when the stream
/// ended inside of a message; any error of the stream.
pub async fn read(stream: &mut (impl AsyncRead + Unpin), bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut front = [0; 4];
    if stream.read(&mut front[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut front[1..]).await?;
    let length = u32::from_le_bytes(front);
    if usize::try_from(length).map_or(true, |length| length > bytes_max) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a message of {length} bytes is longer than {bytes_max}"),
        ));
    }
    let mut bytes = Vec::new();
    stream.take(u64::from(length)).read_to_end(&mut bytes).await?;
    if bytes.len() != usize::try_from(length).unwrap_or(usize::MAX) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(bytes))
}

/// Decodes a message. Trailing bytes are an error.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] when the bytes are not such a message.
pub fn decode<'a, T: Decode<'a, ()>>(bytes: &'a [u8]) -> io::Result<T> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "the message is malformed");
    let mut decoder = minicbor::Decoder::new(bytes);
    let message = decoder.decode().map_err(|_| invalid())?;
    if decoder.position() == bytes.len() { Ok(message) } else { Err(invalid()) }
}
