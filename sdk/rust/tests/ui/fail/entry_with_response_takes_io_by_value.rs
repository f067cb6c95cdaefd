#[derive(veritee::Payload)]
struct Number {
    value: u8,
}

#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[entry(public)]
    fn start(&mut self, _io: Io<'_>, argument: Number) -> Number {
        argument
    }
}

fn main() {}
