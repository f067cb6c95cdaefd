#[derive(veritee::Payload)]
struct Number {
    value: u8,
}

#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[handler]
    fn double(&mut self, _io: &mut Io<'_>, _question: Number) {}
}

fn main() {}
