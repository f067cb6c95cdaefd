#[derive(veritee::Payload)]
struct Many {
    bytes: [u8; 70_000],
}

#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[input]
    fn temperature(&mut self, _io: Io<'_>, _now: Many) {}
}

fn main() {}
