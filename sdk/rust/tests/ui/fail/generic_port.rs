#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[input]
    fn temperature<T: veritee::Payload>(&mut self, _io: Io<'_>, _now: T) {}
}

fn main() {}
