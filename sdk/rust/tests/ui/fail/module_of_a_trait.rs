struct State;

#[veritee::module]
impl Default for State {
    fn default() -> Self {
        Self
    }
}

fn main() {}
