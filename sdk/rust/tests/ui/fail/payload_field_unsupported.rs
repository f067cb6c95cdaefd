#[derive(veritee::Payload)]
struct Reading {
    celsius: f32,
}

fn main() {}
