use super::{BadManifest, Manifest};

const GOOD: Manifest = Manifest {
    payload_offset: 0x10_0000,
    payload_bytes: 533_480,
    payload_address: 0x0e10_0000,
    device_tree: 0x4f00_0000,
    normal_entry: 0x4400_0000,
};

#[test]
fn a_manifest_is_read_as_written() {
    assert_eq!(Manifest::read(&GOOD.write()), Ok(GOOD));
}

#[test]
fn a_manifest_without_its_mark_is_refused() {
    let mut bytes = GOOD.write();
    bytes[7] ^= 1;
    assert_eq!(Manifest::read(&bytes), Err(BadManifest));
}

#[test]
fn ranges_stay_in_their_memory() {
    let bad = [
        Manifest { payload_offset: 0xf_f000, ..GOOD },
        Manifest { payload_offset: 63 << 20, payload_bytes: (1 << 20) + 1, ..GOOD },
        Manifest { payload_bytes: 0, ..GOOD },
        Manifest { payload_bytes: u64::MAX, ..GOOD },
        Manifest { payload_address: 0x0e00_0000, ..GOOD },
        Manifest { payload_address: 0x0eff_fffc, ..GOOD },
        Manifest { payload_address: 0x4000_0000, ..GOOD },
        Manifest { device_tree: 0x0e20_0000, ..GOOD },
        Manifest { normal_entry: 0x0e20_0000, ..GOOD },
        Manifest { normal_entry: 0x4400_0002, ..GOOD },
        Manifest { normal_entry: u64::MAX - 3, ..GOOD },
    ];
    for manifest in bad {
        assert_eq!(Manifest::read(&manifest.write()), Err(BadManifest), "{manifest:x?}");
    }
}
