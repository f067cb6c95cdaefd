#[derive(veritee::Payload)]
struct Number {
    value: u8,
}

#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[input]
    fn temperature(&mut self, _io: Io<'_>, now: Number) -> Number {
        now
    }
}

fn main() {}
