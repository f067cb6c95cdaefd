#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    fn helper(&self);
}

fn main() {}
