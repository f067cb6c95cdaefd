#[derive(veritee::Payload)]
struct Message {
    numbers: [u8; 0],
}

fn main() {}
