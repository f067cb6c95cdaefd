#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[output]
    fn heat();
}

fn main() {}
