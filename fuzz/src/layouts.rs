//! Everything of fixed layout: what decodes is encoded to the same bytes.

use veritee_host::OutputReader;
use veritee_wire::Layout;
use veritee_wire::layout::{
    ActivationBlock, AgreementKey, ControlAnswer, ControlRequest, Delegation, EntryResult, EpochEnd, EventAssociated,
    Frame, Open, OpenStatement, OperationName, RecordHeader, RequestName, RowName, RowStatus, SaveRequest, SerialFloor,
    SetKey, StateChunk, StatusHead, StatusRequest, Transcript,
};

/// Reads the bytes as every layout, as a frame and as an output.
///
/// # Panics
/// When a promise is broken.
pub fn layouts(data: &[u8]) {
    macro_rules! each {
        ($($layout:ident)*) => { $(same_bytes::<$layout>(data);)* };
    }
    each! {
        ActivationBlock AgreementKey ControlAnswer ControlRequest Delegation EntryResult
        EpochEnd EventAssociated Frame Open OpenStatement OperationName RecordHeader RequestName RowName RowStatus
        SaveRequest SerialFloor SetKey StateChunk StatusHead StatusRequest Transcript
    }
    frame(data);
    output(data);
}

fn same_bytes<L: Layout>(data: &[u8]) {
    let whole = L::decode(data);
    let front = L::decode_front(data);
    assert_eq!(whole.is_ok(), front.is_ok() && data.len() == L::BYTES, "{}", std::any::type_name::<L>());
    let Ok((value, rest)) = front else { return };
    let mut again = vec![0; L::BYTES];
    assert_eq!(value.encode(&mut again), Ok(L::BYTES), "{}", std::any::type_name::<L>());
    assert_eq!([&again[..], rest].concat(), data, "{}", std::any::type_name::<L>());
}

fn frame(data: &[u8]) {
    let Ok((_, body, tag)) = Frame::split(data) else { return };
    assert!(body.len() >= 2 && body.len().is_multiple_of(2));
    assert_eq!(Frame::BYTES + body.len() + tag.len(), data.len());
}

fn output(data: &[u8]) {
    let mut ended = false;
    for record in OutputReader::new(data) {
        assert!(!ended, "reading ends at the first malformed record");
        ended = record.is_err();
    }
}
