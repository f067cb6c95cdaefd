#[derive(veritee::Payload)]
struct Number {
    value: u8,
}

#[derive(Default)]
struct State;

#[veritee::module(movable)]
impl State {
    #[output]
    fn heat(command: Number);
}

fn main() {}
