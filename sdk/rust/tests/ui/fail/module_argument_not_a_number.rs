#[derive(veritee::Payload)]
struct Number {
    value: u8,
}

#[derive(Default)]
struct State;

#[veritee::module(rows = true)]
impl State {
    #[output]
    fn heat(command: Number);
}

fn main() {}
