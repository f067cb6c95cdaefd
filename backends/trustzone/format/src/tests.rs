use crate::module::{CALL_HEADER_BYTES, CallHeader};
use crate::{Uuid, service};
use veritee_wire::Layout;

extern crate std;
use std::string::ToString;

#[test]
fn a_uuid_has_the_order_of_its_text_and_another_one_in_memory() {
    assert_eq!(service::UUID.to_string(), "765f330f-ded4-488c-b1d2-19824c39401a");
    let tee = service::UUID.to_tee();
    assert_eq!(tee[..8], [0x0f, 0x33, 0x5f, 0x76, 0xd4, 0xde, 0x8c, 0x48]);
    assert_eq!(tee[8..], service::UUID.0[8..]);
    assert_eq!(Uuid::from_tee(tee), service::UUID);
}

#[test]
fn the_front_of_a_call_is_as_documented() {
    let header = CallHeader { length: 0x0102_0304, op: 4, reserved: 0 };
    assert_eq!(header.bytes(), [4, 3, 2, 1, 4, 0, 0, 0]);
    assert_eq!(CallHeader::decode(&header.bytes::<CALL_HEADER_BYTES>()), Ok(header));
}
