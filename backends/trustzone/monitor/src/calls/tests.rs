use super::{
    ALREADY_ON, DENIED, Entry, INVALID_PARAMETERS, NOT_SUPPORTED, NormalCall, SecureCall, from_normal, from_secure,
};

fn answer(function: u64, argument: u64) -> u64 {
    match from_normal([function, argument, 0, 0]) {
        NormalCall::Answer(value) => value,
        other => panic!("{other:?}"),
    }
}

#[test]
fn calls_of_the_trusted_system_enter_it_by_their_speed() {
    assert_eq!(from_normal([0x3200_0004, 0, 0, 0]), NormalCall::Enter(Entry::Yielding));
    assert_eq!(from_normal([0xb200_0009, 0, 0, 0]), NormalCall::Enter(Entry::Fast));
    assert_eq!(from_normal([0xbf00_ff01, 0, 0, 0]), NormalCall::Enter(Entry::Fast));
}

#[test]
fn other_owners_are_told_that_there_is_nothing() {
    for owner in (0..0x40).filter(|owner| !(0x32..=0x3f).contains(owner)) {
        assert_eq!(answer((1 << 31) | (owner << 24) | 0xff77, 0), NOT_SUPPORTED, "owner {owner:#x}");
    }
}

#[test]
fn what_the_payload_says_of_itself_means_nothing_from_the_normal_world() {
    for function in [0xbe00_0000, 0xbe00_0005, 0xbe00_0006] {
        assert_eq!(from_normal([function, 1, 2, 3]), NormalCall::Enter(Entry::Fast));
    }
}

#[test]
fn the_payload_is_heard() {
    assert_eq!(from_secure([0xbe00_0000, 8]), SecureCall::Started);
    assert_eq!(from_secure([0xbe00_0005, 0]), SecureCall::Done);
    assert_eq!(from_secure([0xbe00_0006, 0]), SecureCall::InterruptDone);
    assert_eq!(from_secure([0x8000_0000, 0]), SecureCall::Answer(0x1_0001));
    assert_eq!(from_secure([0x8400_0008, 0]), SecureCall::Answer(NOT_SUPPORTED), "it powers nothing off");
}

#[test]
fn one_core_is_all_there_is() {
    assert_eq!(answer(0x8400_0000, 0), 0x1_0000);
    assert_eq!(answer(0x8400_0002, 0), DENIED);
    assert_eq!(answer(0xc400_0003, 0), ALREADY_ON);
    assert_eq!(answer(0xc400_0003, 1), INVALID_PARAMETERS);
    assert_eq!(answer(0xc400_0004, 0), 0);
    assert_eq!(answer(0xc400_0004, 1), INVALID_PARAMETERS);
    assert_eq!(answer(0x8400_0006, 0), 2);
    assert_eq!(from_normal([0x8400_0008, 0, 0, 0]), NormalCall::PowerOff);
    assert_eq!(from_normal([0x8400_0009, 0, 0, 0]), NormalCall::Reset);
}

#[test]
fn features_tell_the_truth() {
    for function in [0x8400_0000_u64, 0x8400_0002, 0xc400_0003, 0xc400_0004, 0x8400_0006] {
        assert_eq!(answer(0x8400_000a, function), 0);
        assert_ne!(answer(function, 0), NOT_SUPPORTED);
    }
    for function in [0x8400_0001_u64, 0xc400_0001, 0xc400_000e] {
        assert_eq!(answer(0x8400_000a, function), NOT_SUPPORTED);
        assert_eq!(answer(function, 0), NOT_SUPPORTED);
    }
    assert_eq!(answer(0x8000_0001, 0x8000_0000), 0);
    assert_eq!(answer(0x8000_0001, 0x8000_8000), NOT_SUPPORTED);
}

#[test]
fn only_the_low_half_names_the_function() {
    assert_eq!(from_normal([0xffff_ffff_8400_0008, 0, 0, 0]), NormalCall::PowerOff);
}
