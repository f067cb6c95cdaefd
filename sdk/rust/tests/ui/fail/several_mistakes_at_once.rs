#[derive(veritee::Payload)]
struct Number {
    value: u8,
}

#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[entry]
    fn start(&mut self, _io: Io<'_>) {}

    #[output]
    fn heat();

    #[handler]
    fn double(&mut self, _io: Io<'_>, question: Number) -> Number {
        question
    }
}

fn main() {}
