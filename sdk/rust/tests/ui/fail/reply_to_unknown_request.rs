#[derive(veritee::Payload)]
struct Number {
    value: u8,
}

#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[reply(ask)]
    fn answered(&mut self, _io: Io<'_>, _outcome: Result<Number, veritee::Refusal>) {}
}

fn main() {}
