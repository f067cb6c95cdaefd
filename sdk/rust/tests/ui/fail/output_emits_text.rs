#[derive(veritee::Payload)]
struct Number {
    value: u8,
}

#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[output(emits = "three")]
    fn heat(command: Number);
}

fn main() {}
