#[derive(veritee::Payload)]
#[repr(u64)]
enum Switch {
    Off = 0,
    On = 1,
}

fn main() {}
