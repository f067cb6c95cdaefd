#[derive(veritee::Payload)]
struct Number {
    value: u8,
}

#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[output]
    fn heat(command: Number) -> Number;
}

fn main() {}
