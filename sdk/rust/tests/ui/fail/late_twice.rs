#[derive(veritee::Payload)]
struct Number {
    value: u8,
}

#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[input]
    fn temperature(&mut self, _io: Io<'_>, _now: Number) {}

    #[late(temperature)]
    fn silent(&mut self, _io: Io<'_>) {}

    #[late(temperature)]
    fn also_silent(&mut self, _io: Io<'_>) {}
}

fn main() {}
