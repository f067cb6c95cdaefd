#[derive(veritee::Payload)]
enum Switch {
    Off = 0,
    On = 1,
}

fn main() {}
