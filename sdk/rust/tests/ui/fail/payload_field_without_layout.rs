struct Inner {
    number: u8,
}

#[derive(veritee::Payload)]
struct Outer {
    inner: Inner,
}

fn main() {}
