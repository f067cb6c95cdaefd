#[derive(veritee::Payload)]
struct Message {
    texts: [veritee::Bytes<8>; 2],
}

fn main() {}
