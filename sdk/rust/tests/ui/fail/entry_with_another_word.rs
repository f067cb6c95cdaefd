#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[entry(private)]
    fn start(&mut self, _io: Io<'_>) {}
}

fn main() {}
