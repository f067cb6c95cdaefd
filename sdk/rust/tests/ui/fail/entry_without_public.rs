#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[entry]
    fn start(&mut self, _io: Io<'_>) {}
}

fn main() {}
