#[derive(Default)]
struct State<T>(T);

#[veritee::module]
impl<T> State<T> {}

fn main() {}
