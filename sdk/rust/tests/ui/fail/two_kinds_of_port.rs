#[derive(veritee::Payload)]
struct Number {
    value: u8,
}

#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[input]
    #[entry(public)]
    fn both(&mut self, _io: Io<'_>, _payload: Number) {}
}

fn main() {}
