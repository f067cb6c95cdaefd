#[derive(veritee::Payload)]
struct Number {
    value: u8,
}

struct State;

#[veritee::module]
impl State {
    #[output]
    fn heat(command: Number);
}

fn main() {}
