use crate::TempSensor;
use smart_home_messages::Celsius;
use std::vec::Vec;
use veritee_harness::Harness;

#[test]
fn every_sample_is_emitted_and_the_air_drifts_between_its_bounds() {
    let mut sensor = Harness::<TempSensor>::new();
    for _ in 0..1_000 {
        sensor.enter("sample", &());
    }
    let samples: Vec<i16> = sensor.emitted::<Celsius>("temperature").iter().map(|celsius| celsius.tenths).collect();
    assert_eq!(samples.len(), 1_000);
    assert!(samples.iter().all(|tenths| (165..=235).contains(tenths)));
    assert!(samples.contains(&197) && samples.iter().any(|tenths| *tenths > 225));
}
