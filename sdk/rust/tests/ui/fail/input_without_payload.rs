#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[input]
    fn temperature(&mut self, _io: Io<'_>) {}
}

fn main() {}
