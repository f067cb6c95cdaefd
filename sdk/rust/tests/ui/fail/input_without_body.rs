#[derive(veritee::Payload)]
struct Number {
    value: u8,
}

#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[input]
    fn temperature(&mut self, io: Io<'_>, now: Number);
}

fn main() {}
