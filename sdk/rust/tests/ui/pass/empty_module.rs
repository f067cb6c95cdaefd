#[derive(Default)]
struct State;

#[veritee::module]
impl State {}

fn main() {
    assert!(<State as veritee::Program>::PORTS.is_empty());
}
