//! Both strengths against the definition, published values, and vectors of the hardware and its library.

use std::fs;
use std::path::PathBuf;
use veritee_spongent::{Key, Spongent128, State, Unauthentic, Variant};
use veritee_spongent64::{Key64, Spongent64};

fn hex(text: &str) -> Vec<u8> {
    let text = if text == "-" { "" } else { text };
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hexadecimal")).collect()
}

fn shown(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The permutation bit by bit, from the definition.
fn reference(state: &[u8], variant: (usize, u32, u32, &[u32])) -> Vec<u8> {
    let (rounds, counter, width, feedback) = variant;
    let bits = state.len() * 8;
    let mut now: Vec<bool> = (0..bits).map(|bit| state[bit / 8] >> (bit % 8) & 1 == 1).collect();
    let sbox = [0xe, 0xd, 0xb, 0, 2, 1, 4, 0xf, 7, 0xa, 8, 5, 9, 0xc, 3, 6];
    let mut counter = counter;
    for _ in 0..rounds {
        for bit in 0..width as usize {
            let set = counter >> bit & 1 == 1;
            now[bit] ^= set;
            now[bits - 1 - bit] ^= set;
        }
        let mut next = vec![false; bits];
        for bit in 0..bits {
            let nibble = (0..4).fold(0, |nibble, at| nibble | usize::from(now[bit / 4 * 4 + at]) << at);
            let value = sbox[nibble] >> (bit % 4) & 1 == 1;
            let to = if bit == bits - 1 { bit } else { bit * (bits / 4) % (bits - 1) };
            next[to] = value;
        }
        now = next;
        let fed = feedback.iter().fold(0, |fed, bit| fed ^ (counter >> bit & 1));
        counter = (counter << 1 | fed) & ((1 << width) - 1);
    }
    now.chunks(8).map(|byte| byte.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect()
}

fn permuted<V: Variant + Default>(low: u32, bytes: usize) -> Vec<u8> {
    let mut state = State::<V>::default();
    state.duplex(low);
    state.words().iter().flat_map(|word| word.to_le_bytes()).take(bytes).collect()
}

#[test]
fn permutations_of_zero_and_one_are_the_published_ones() {
    let expected = "09069319dc76812d0fbee61afe82c7e94276c3ae00d5a122b8a761b7e1dd486794382f3afe29f6558060";
    assert_eq!(shown(&permuted::<Spongent128>(0, 42)), expected);
    let expected = "9f78ce21f56cb8ef246b8d3044f35b744fc4ac925dca0f292fd298a900647fc28c68df255decb8cf53de";
    assert_eq!(shown(&permuted::<Spongent128>(1, 42)), expected);
    assert_eq!(shown(&permuted::<Spongent64>(0, 22)), "7cc4ce71e12103a7601e25ff8970fb10bf32793c2379");
    assert_eq!(shown(&permuted::<Spongent64>(1, 22)), "b18d4d39ae32e35922e87f75232150d9d3e7a759c4b6");
}

#[test]
fn planes_and_single_bits_agree_along_a_chain_of_states() {
    let (mut wide, mut narrow) = (State::<Spongent128>::default(), State::<Spongent64>::default());
    let (mut wide_bits, mut narrow_bits) = (vec![0_u8; 42], vec![0_u8; 22]);
    for input in 0..40_u32 {
        let input = input.wrapping_mul(0x9e37) & 0x3_ffff;
        wide.duplex(input);
        narrow.duplex(input);
        for bits in [&mut wide_bits, &mut narrow_bits] {
            for (byte, added) in bits.iter_mut().zip(input.to_le_bytes()) {
                *byte ^= added;
            }
        }
        wide_bits = reference(&wide_bits, (170, 0x52, 8, &[7, 3, 2, 1]));
        narrow_bits = reference(&narrow_bits, (90, 0x45, 7, &[6, 5]));
        let bytes = |words: &[u64; 6], length| {
            words.iter().flat_map(|word| word.to_le_bytes()).take(length).collect::<Vec<_>>()
        };
        assert_eq!(bytes(wide.words(), 42), wide_bits);
        assert_eq!(bytes(narrow.words(), 22), narrow_bits);
    }
}

/// Runs `$body` with `key` at the strength of a vector.
macro_rules! with_key {
    ($security:expr, $bytes:expr, $key:ident, $body:block) => {
        if $security == "128" {
            let $key = Key::new($bytes.as_slice().try_into().unwrap());
            $body
        } else {
            let $key = Key64::new($bytes.as_slice().try_into().unwrap());
            $body
        }
    };
}

fn check_wrap(security: &str, fields: &[&str]) {
    let [key, ad, body, cipher, tag, bad] = fields else { panic!("{fields:?}") };
    with_key!(security, hex(key), key, {
        let mut work = hex(body);
        let made = key.wrap_in_place(&hex(ad), &mut work);
        assert_eq!((shown(&work), shown(&made)), (shown(&hex(cipher)), tag.to_string()));
        assert_eq!(key.unwrap_in_place(&hex(ad), &mut work, &made), Ok(()));
        assert_eq!(work, hex(body));
        if *bad != "-" {
            let mut work = hex(cipher);
            let bad = hex(bad).try_into().expect("a tag");
            assert_eq!(key.unwrap_in_place(&hex(ad), &mut work, &bad), Err(Unauthentic));
            assert!(work.iter().all(|byte| *byte == 0), "what does not open is wiped");
        }
    });
}

fn check_keys(security: &str, fields: &[&str]) {
    let [node, vendor_id, text, a, b, c, d, vendor_key, module_key, verify] = fields else { panic!("{fields:?}") };
    let word = |text: &str| text.parse::<u16>().expect("a number").to_le_bytes();
    let mut identity = hex(text);
    identity.extend([a, b, c, d].iter().flat_map(|text| word(text)));
    with_key!(security, hex(node), key, {
        assert_eq!(shown(&key.mac(&word(vendor_id))), *vendor_key);
    });
    with_key!(security, hex(vendor_key), key, {
        assert_eq!(shown(&key.mac(&identity)), *module_key);
    });
    with_key!(security, vec![0; hex(node).len()], key, {
        assert_eq!(shown(&key.mac(&identity)), *verify);
    });
}

#[test]
fn vectors_of_the_hardware_and_its_library_pass() {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testkit/vectors");
    let path = std::env::var_os("VERITEE_VECTORS").map_or(own, PathBuf::from).join("spongent/vectors.txt");
    let text = fs::read_to_string(path).unwrap();
    let mut count = 0;
    for line in text.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        match fields[0] {
            "wrap" => check_wrap(fields[1], &fields[2..]),
            "mac" => with_key!(fields[1], hex(fields[2]), key, {
                assert_eq!(shown(&key.mac(&hex(fields[3]))), fields[4]);
            }),
            "keys" => check_keys(fields[1], &fields[2..]),
            other => panic!("{other}"),
        }
        count += 1;
    }
    assert!(count >= 200, "{count} vectors");
}

#[test]
fn any_changed_bit_is_noticed() {
    let key = Key::new(&[7; 16]);
    let mut sealed = *b"a body of 20 bytes!!";
    let tag = key.wrap_in_place(b"associated", &mut sealed);
    for bit in 0..sealed.len() * 8 {
        let mut work = sealed;
        work[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(key.unwrap_in_place(b"associated", &mut work, &tag), Err(Unauthentic));
    }
}
