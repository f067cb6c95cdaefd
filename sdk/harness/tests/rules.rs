//! The harness against modules that use every kind of port.
#![expect(missing_docs, unreachable_pub, reason = "modules of authors, written as authors write them")]

use veritee::{Message, Payload, Refusal};
use veritee_harness::{Entered, Harness};

#[derive(Payload, Clone, Copy, PartialEq, Debug, Default)]
pub struct Number {
    pub value: u32,
}

#[derive(Payload, Clone, Copy, PartialEq, Debug)]
pub struct Odd {
    pub bytes: [u8; 3],
}

mod counter {
    use super::{Number, Odd};
    use veritee::{Payload, Refusal, Token};

    #[derive(Payload, Default)]
    pub struct Counter {
        pub sum: u32,
    }

    #[veritee::module(tokens = 1, movable)]
    impl Counter {
        #[output(emits = 2)]
        fn total(sum: Number);

        #[request]
        fn lookup(key: Number) -> Odd;

        #[input]
        fn add(&mut self, mut io: Io<'_>, number: Number) {
            for _ in 0..number.value.max(1) {
                self.sum += number.value;
                io.total(&Number { value: self.sum });
            }
        }

        #[late(add)]
        fn nothing_to_add(&mut self, mut io: Io<'_>) {
            io.total(&Number { value: u32::MAX });
        }

        #[reply(lookup)]
        fn found(&mut self, mut io: Io<'_>, outcome: Result<Odd, Refusal>) {
            let value = match outcome {
                Ok(odd) => u32::from(odd.bytes[2]),
                Err(Refusal::Refused(code)) => u32::from(code),
                Err(Refusal::Malformed) => 1_000_001,
                Err(Refusal::Aborted) => 1_000_002,
            };
            io.total(&Number { value });
        }

        #[handler]
        fn double(&mut self, _io: &mut Io<'_>, number: Number) -> Result<Number, u16> {
            number.value.checked_mul(2).map(|value| Number { value }).ok_or(7)
        }

        #[entry(public)]
        fn ask(&mut self, io: Io<'_>, key: Number) {
            if let Err(mut io) = io.lookup(&key) {
                io.total(&Number { value: 0 });
            }
        }

        #[entry(public)]
        fn read(&mut self, _io: &mut Io<'_>) -> Number {
            Number { value: self.sum }
        }
    }

    mod relay {
        use super::{Number, Odd, Refusal, Token};

        #[derive(Default)]
        pub struct Relay {
            held: Option<Token<Number>>,
        }

        #[veritee::module(tokens = 2)]
        impl Relay {
            #[request]
            fn lookup(key: Number) -> Odd;

            #[handler]
            fn get(&mut self, io: Io<'_>, key: Number, token: Token<Number>) {
                match io.lookup(&key) {
                    Ok(()) => self.held = Some(token),
                    Err(mut io) => io.refuse(token, 404),
                }
            }

            #[reply(lookup)]
            fn found(&mut self, mut io: Io<'_>, outcome: Result<Odd, Refusal>) {
                let Some(token) = self.held.take() else { return };
                match outcome {
                    Ok(odd) => io.answer(token, &Number { value: u32::from(odd.bytes[0]) }),
                    Err(_) => io.refuse(token, 502),
                }
            }
        }
    }

    pub use relay::Relay;
}

use counter::{Counter, Relay};

fn totals(harness: &mut Harness<Counter>) -> Vec<u32> {
    harness.emitted::<Number>("total").iter().map(|number| number.value).collect()
}

#[test]
fn an_event_runs_its_input_and_shows_what_it_emits() {
    let mut harness = Harness::<Counter>::new();
    harness.send("add", &Number { value: 2 });
    assert_eq!(totals(&mut harness), [2, 4]);
    assert!(harness.is_quiet());
    assert_eq!(harness.program().sum, 4);
}

#[test]
#[should_panic(expected = "declare `#[output(emits = N)]`")]
fn emitting_more_than_declared_fails_the_test() {
    Harness::<Counter>::new().send("add", &Number { value: 3 });
}

#[test]
fn while_a_request_is_open_everything_else_is_busy() {
    let mut harness = Harness::<Counter>::new();
    harness.enter("ask", &Number { value: 5 });
    assert_eq!(harness.requested::<Number>("lookup"), Some(Number { value: 5 }));
    assert_eq!(harness.offer("add", &Number { value: 1 }), Entered::Busy);
    assert_eq!(harness.offer("double", &Number { value: 1 }), Entered::Busy);
    assert_eq!(harness.offer("ask", &Number { value: 1 }), Entered::Busy);
    assert_eq!(harness.late("add"), Entered::Busy);
    harness.reply(&Odd { bytes: [1, 2, 3] });
    assert_eq!(totals(&mut harness), [3]);
    harness.send("add", &Number { value: 1 });
    assert_eq!(totals(&mut harness), [1]);
}

#[test]
fn refusals_enter_the_reply_function() {
    let mut harness = Harness::<Counter>::new();
    for (refusal, value) in [(Refusal::Refused(9), 9), (Refusal::Malformed, 1_000_001), (Refusal::Aborted, 1_000_002)] {
        harness.enter("ask", &Number::default());
        harness.refuse(refusal);
        assert_eq!(totals(&mut harness), [value]);
    }
}

#[test]
fn an_answer_that_does_not_decode_enters_as_malformed() {
    let mut harness = Harness::<Counter>::new();
    harness.enter("ask", &Number::default());
    harness.reply_bytes(&[1, 2, 3, 0, 0, 0]);
    assert_eq!(totals(&mut harness), [1_000_001]);
    assert_eq!(harness.malformed(), 1);
}

#[test]
fn a_request_without_connection_comes_back_at_once() {
    let mut harness = Harness::<Counter>::new();
    harness.disconnect("lookup");
    harness.enter("ask", &Number { value: 1 });
    assert_eq!(totals(&mut harness), [0]);
    harness.connect("lookup");
    harness.enter("ask", &Number { value: 1 });
    assert!(!harness.is_quiet());
}

#[test]
fn an_event_without_connection_is_counted_and_gone() {
    let mut harness = Harness::<Counter>::new();
    harness.disconnect("total");
    harness.send("add", &Number { value: 1 });
    assert_eq!(totals(&mut harness), []);
    assert_eq!(harness.unconnected(), 1);
}

#[test]
fn late_enters_once_between_two_events() {
    let mut harness = Harness::<Counter>::new();
    assert_eq!(harness.late("add"), Entered::Accepted);
    assert_eq!(harness.late("add"), Entered::Duplicate);
    harness.send("add", &Number { value: 1 });
    assert_eq!(harness.late("add"), Entered::Accepted);
    assert_eq!(totals(&mut harness), [u32::MAX, 1, u32::MAX]);
}

#[test]
fn handlers_answer_or_refuse_at_once() {
    let mut harness = Harness::<Counter>::new();
    assert_eq!(harness.call("double", &Number { value: 4 }), Ok(Number { value: 8 }));
    let refused: Result<Number, _> = harness.call("double", &Number { value: u32::MAX });
    assert_eq!(refused, Err(Refusal::Refused(7)));
}

#[test]
fn a_request_that_does_not_decode_is_answered_as_malformed() {
    let mut harness = Harness::<Counter>::new();
    assert_eq!(harness.offer_bytes("double", &[1, 2]), Entered::Malformed);
    assert_eq!(harness.malformed(), 1);
    harness.send("add", &Number { value: 1 });
}

#[test]
fn tokens_are_kept_across_requests_and_run_out() {
    let mut harness = Harness::<Relay>::new().with_tokens(1);
    let ticket = harness.ask("get", &Number { value: 3 });
    assert_eq!(harness.answer::<Number>(ticket), None);
    harness.reply(&Odd { bytes: [9, 0, 0] });
    assert_eq!(harness.answer(ticket), Some(Ok(Number { value: 9 })));
    let ticket = harness.ask("get", &Number { value: 3 });
    harness.refuse(Refusal::Aborted);
    assert_eq!(harness.answer::<Number>(ticket), Some(Err(Refusal::Refused(502))));
    harness.disconnect("lookup");
    assert_eq!(harness.call::<_, Number>("get", &Number { value: 3 }), Err(Refusal::Refused(404)));
    let mut without = Harness::<Relay>::new().with_tokens(0);
    assert_eq!(without.offer("get", &Number { value: 3 }), Entered::Busy);
}

#[test]
fn entries_respond_and_take_exactly_their_arguments() {
    let mut harness = Harness::<Counter>::new();
    harness.program_mut().sum = 12;
    assert_eq!(harness.enter_for::<_, Number>("read", &()), Number { value: 12 });
    assert_eq!(harness.offer_bytes("read", &[1]), Entered::Malformed);
    assert_eq!(harness.offer_bytes("ask", &[]), Entered::Malformed);
}

#[test]
fn a_movable_state_moves() {
    let mut old = Harness::<Counter>::new();
    old.send("add", &Number { value: 1 });
    let mut new = Harness::<Counter>::restored(&old.save()).expect("the state is one");
    new.send("add", &Number { value: 1 });
    assert_eq!(totals(&mut new), [2]);
    assert!(Harness::<Counter>::restored(&[0; 3]).is_err());
}

#[test]
#[should_panic(expected = "there is no input `ad` in this module; there are: add")]
fn a_wrong_name_lists_the_right_ones() {
    Harness::<Counter>::new().send("ad", &Number::default());
}

#[test]
#[should_panic(expected = "`add` carries Number, not Odd")]
fn a_wrong_type_is_named() {
    Harness::<Counter>::new().send("add", &Odd { bytes: [0; 3] });
}

#[test]
fn the_port_table_has_ports_in_the_order_of_the_source() {
    use veritee::Program;
    let names: Vec<&str> = Counter::PORTS.iter().map(|port| port.name).collect();
    assert_eq!(names, ["total", "lookup", "add", "double", "ask", "read"]);
    let lookup = &Counter::PORTS[1];
    assert_eq!((lookup.payload_name, lookup.reply_name), ("Number", "Odd"));
    assert_eq!((lookup.payload_bytes_max, lookup.reply_bytes_max), (4, 3));
    assert_eq!(lookup.reply_type, Odd::HASH);
    assert_eq!(Counter::PORTS[0].emits_max, 2);
    assert_eq!(Counter::PORTS[2].flags, veritee::FLAG_LATE);
    assert_eq!(Counter::STATE_BYTES, 4);
    Number { value: 0x0102_0304 }.give(|bytes| assert_eq!(bytes, [4, 3, 2, 1]));
}
