#[derive(veritee::Payload)]
struct Number {
    value: u8,
}

#[derive(veritee::Payload)]
struct Other {
    value: u16,
}

#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[output]
    fn heat(command: Number);

    #[output]
    fn heat(command: Other);
}

fn main() {}
