#[derive(veritee::Payload)]
struct Number {
    value: u8,
}

#[derive(Default)]
struct State;

#[veritee::module]
impl State {
    #[output]
    fn a_name_that_is_longer_than_the_table_has_room(command: Number);
}

fn main() {}
