#[derive(veritee::Payload)]
struct Celsius(i16);

fn main() {}
