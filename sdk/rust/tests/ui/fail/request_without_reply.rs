#[derive(veritee::Payload)]
struct Number {
    value: u8,
}

#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[request]
    fn ask(question: Number) -> Number;
}

fn main() {}
