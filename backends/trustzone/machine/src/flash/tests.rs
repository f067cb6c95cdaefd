use super::{Flash, core_address, replace_once};

#[test]
fn parts_lie_where_the_monitor_looks() {
    let flash = Flash {
        monitor: &[1; 100],
        payload: &[2; 13],
        payload_address: 0x0e10_0000,
        device_tree: 0x4a00_0000,
        normal_entry: 0x4400_0000,
    };
    let bytes = flash.write().unwrap();
    assert_eq!(bytes[..100], [1; 100]);
    assert_eq!(&bytes[0xf_f000..0xf_f008], b"VTEETZ01");
    assert_eq!(bytes[0xf_f010..0xf_f018], 13_u64.to_le_bytes());
    assert_eq!(bytes[0x10_0000..0x10_000d], [2; 13]);
    assert!(Flash { monitor: &vec![0; 0xf_f001], ..flash }.write().is_err());
    assert!(Flash { payload: &vec![0; 64 << 20], ..flash }.write().is_err());
}

#[test]
fn a_key_is_replaced_only_where_it_is_once() {
    let mut image = b"..key1....".to_vec();
    replace_once(&mut image, "key", b"key1", b"KEY2").unwrap();
    assert_eq!(image, b"..KEY2....");
    assert!(replace_once(&mut image, "key", b"key1", b"KEY2").is_err(), "never");
    let mut twice = b"key1key1".to_vec();
    assert!(replace_once(&mut twice, "key", b"key1", b"KEY2").is_err());
    assert!(replace_once(&mut b"key1".to_vec(), "key", b"key1", b"KEY").is_err());
}

#[test]
fn the_cores_header_tells_its_address() {
    let mut header = b"OPTE\x02\x01\0\0\x01\0\0\0\0\0\0\0\0\0\x10\x0e\0\0\0\0\x08\0\0\0".to_vec();
    assert_eq!(core_address(&header, 8).unwrap(), 0x0e10_0000);
    assert!(core_address(&header, 9).is_err());
    assert!(core_address(&header[..27], 8).is_err());
    header[8] = 2;
    assert!(core_address(&header, 8).is_err());
}
