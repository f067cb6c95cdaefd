#[derive(veritee::Payload)]
struct Message {
    text: veritee::Bytes<8>,
    number: u8,
}

fn main() {}
