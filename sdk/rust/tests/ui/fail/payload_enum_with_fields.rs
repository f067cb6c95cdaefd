#[derive(veritee::Payload)]
#[repr(u8)]
enum Switch {
    Off = 0,
    On(u8) = 1,
}

fn main() {}
