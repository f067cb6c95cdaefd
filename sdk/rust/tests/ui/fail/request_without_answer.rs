#[derive(veritee::Payload)]
struct Number {
    value: u8,
}

#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[request]
    fn ask(question: Number);

    #[reply(ask)]
    fn answered(&mut self, _io: Io<'_>, _outcome: Result<Number, veritee::Refusal>) {}
}

fn main() {}
