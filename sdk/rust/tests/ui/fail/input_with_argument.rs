#[derive(veritee::Payload)]
struct Number {
    value: u8,
}

#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[input(urgent)]
    fn temperature(&mut self, _io: Io<'_>, _now: Number) {}
}

fn main() {}
