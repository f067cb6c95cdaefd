#[derive(veritee::Payload)]
struct Pair<T> {
    left: T,
    right: T,
}

fn main() {}
