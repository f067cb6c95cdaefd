#[derive(veritee::Payload)]
#[repr(C, u8)]
enum Switch {
    Off = 0,
    On = 1,
}

fn main() {}
