//! The public part of an RSA key in PEM, as far as the image builder needs it: its modulus.
//!
//! # Source
//! RFC 8017 appendix A.1 (`RSAPrivateKey`, `RSAPublicKey`), RFC 5208 (`PRIVATE KEY`), RFC 5280 (`PUBLIC KEY`), X.690 (DER).

/// The modulus, big-endian without leading zeros, of an RSA key in PEM: private or public, bare or wrapped.
#[must_use]
pub fn modulus_of_pem(pem: &[u8]) -> Option<Vec<u8>> {
    let text = core::str::from_utf8(pem).ok()?;
    let body: String = text
        .lines()
        .skip_while(|line| !line.starts_with("-----BEGIN"))
        .skip(1)
        .take_while(|line| !line.starts_with("-----END"))
        .collect();
    largest_integer(&base64(&body)?, 0)
}

/// The largest integer of a structure. In an RSA key that is its modulus: all others are exponents and factors of it, and a
/// private exponent is smaller.
fn largest_integer(der: &[u8], depth: u32) -> Option<Vec<u8>> {
    let mut largest: Option<Vec<u8>> = None;
    let mut rest = der;
    while depth < DEPTH_MAX && !rest.is_empty() {
        let (tag, content, after) = element(rest)?;
        let found = match tag {
            INTEGER => Some(content.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<u8>>()),
            SEQUENCE => largest_integer(content, depth + 1),
            // Keys are wrapped into strings; other strings hold no structure.
            OCTETS => largest_integer(content, depth + 1),
            BITS => largest_integer(content.get(1..)?, depth + 1),
            _ => None,
        };
        if let Some(found) = found {
            let key = |number: &Vec<u8>| (number.len(), number.clone());
            largest = largest.into_iter().chain([found]).max_by_key(key);
        }
        rest = after;
    }
    largest
}

/// Tag, content and what is behind the first element.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, length, mut rest) = match der {
        [tag, length, rest @ ..] => (*tag, *length, rest),
        _ => return None,
    };
    let mut bytes = usize::from(length);
    if length & 0x80 != 0 {
        let count = usize::from(length & 0x7f);
        let digits = rest.get(..count).filter(|_| count <= 4)?;
        bytes = digits.iter().fold(0, |value, digit| value << 8 | usize::from(*digit));
        rest = &rest[count..];
    }
    Some((tag, rest.get(..bytes)?, &rest[bytes..]))
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes().filter(|byte| *byte != b'=' && !byte.is_ascii_whitespace()) {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(bytes)
}

const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;
const OCTETS: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
const DEPTH_MAX: u32 = 8;

#[cfg(test)]
mod tests;
