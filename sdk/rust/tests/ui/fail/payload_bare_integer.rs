#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[input]
    fn temperature(&mut self, _io: Io<'_>, _tenths: i16) {}
}

fn main() {}
