#[derive(veritee::Payload)]
struct Number {
    value: u8,
}

#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[handler]
    fn double(&mut self, _io: Io<'_>, question: Number, _token: veritee::Token<Number>) -> Number {
        question
    }
}

fn main() {}
