#[derive(veritee::Payload)]
#[repr(u8)]
enum Switch {
    Off,
    On,
}

fn main() {}
