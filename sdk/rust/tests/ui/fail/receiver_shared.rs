#[derive(veritee::Payload)]
struct Number {
    value: u8,
}

#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[input]
    fn temperature(&self, _io: Io<'_>, _now: Number) {}
}

fn main() {}
