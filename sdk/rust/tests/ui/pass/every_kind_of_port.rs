use veritee::{Payload, Refusal, Token};

#[derive(Payload, Clone, Copy)]
struct Number {
    value: u32,
}

#[derive(Payload, Default)]
struct State {
    asked: u32,
}

#[veritee::module(movable, rows = 3, tokens = 1)]
impl State {
    #[output(emits = 2)]
    fn sum(total: Number);

    #[request]
    fn ask(question: Number) -> Number;

    #[reply(ask)]
    fn answered(&mut self, mut io: Io<'_>, outcome: Result<Number, Refusal>) {
        io.sum(&outcome.unwrap_or(Number { value: 0 }));
    }

    #[input]
    fn add(&mut self, io: Io<'_>, number: Number) {
        self.asked = self.bumped();
        let _ = io.ask(&number);
    }

    #[late(add)]
    fn silent(&mut self, mut io: Io<'_>) {
        io.sum(&Number { value: 0 });
    }

    #[handler]
    fn double(&mut self, io: &mut Io<'_>, number: Number) -> Number {
        io.sum(&number);
        Number { value: number.value.wrapping_mul(2) }
    }

    #[handler]
    fn half(&mut self, _io: &mut Io<'_>, number: Number) -> Result<Number, u16> {
        if number.value.is_multiple_of(2) { Ok(Number { value: number.value / 2 }) } else { Err(1) }
    }

    #[handler]
    fn later(&mut self, mut io: Io<'_>, number: Number, token: Token<Number>) {
        io.answer(token, &number);
    }

    #[entry(public)]
    fn start(&mut self, _io: Io<'_>) {}

    #[entry(public)]
    fn tell(&mut self, _io: Io<'_>, _number: Number) {}

    #[entry(public)]
    fn count(&mut self, _io: &mut Io<'_>, _of: Number) -> Number {
        Number { value: self.asked }
    }

    fn bumped(&self) -> u32 {
        self.asked.wrapping_add(1)
    }
}

fn main() {
    let names: [&str; 9] = core::array::from_fn(|at| <State as veritee::Program>::PORTS[at].name);
    assert_eq!(names, ["sum", "ask", "add", "double", "half", "later", "start", "tell", "count"]);
    assert_eq!((__veritee::ROWS, __veritee::TOKENS), (3, 1));
}
