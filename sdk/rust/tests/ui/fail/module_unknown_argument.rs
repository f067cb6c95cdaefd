#[derive(veritee::Payload)]
struct Number {
    value: u8,
}

#[derive(Default)]
struct State;

#[veritee::module(row = 3)]
impl State {
    #[output]
    fn heat(command: Number);
}

fn main() {}
