#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[late]
    fn silent(&mut self, _io: Io<'_>) {}
}

fn main() {}
