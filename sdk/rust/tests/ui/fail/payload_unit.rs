#[derive(veritee::Payload)]
struct Nothing;

fn main() {}
