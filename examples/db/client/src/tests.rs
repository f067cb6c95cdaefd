use crate::{Answer, Client, Outcome, Question};
use db_database::Database;
use db_messages::{Key, Record};
use veritee::{Bytes, Refusal};
use veritee_harness::{Entered, Harness};

const KEY: Key = Key { key: 7 };

fn last(client: &mut Harness<Client>) -> Answer {
    client.call("last", &Question {}).expect("the client always answers")
}

#[test]
fn a_record_goes_to_the_database_and_comes_back() {
    let (mut client, mut database) = (Harness::<Client>::new(), Harness::<Database>::new());
    let record = Record { key: KEY, value: Bytes::new(b"seven").unwrap() };
    client.enter("put", &record);
    client.emitted::<Record>("store").iter().for_each(|record| database.send("store", record));
    client.enter("get", &KEY);
    let asked = client.requested::<Key>("lookup").expect("a request is open");
    let answer: Record = database.call("get", &asked).expect("the record is there");
    client.reply(&answer);
    assert_eq!(last(&mut client), Answer { outcome: Outcome::Found, record, ..Answer::default() });
}

#[test]
fn while_the_database_is_asked_the_client_waits() {
    let mut client = Harness::<Client>::new();
    client.enter("get", &KEY);
    assert_eq!(client.offer("get", &KEY), Entered::Busy);
    assert_eq!(client.offer("last", &Question {}), Entered::Busy);
    client.refuse(Refusal::Refused(1));
    assert_eq!(last(&mut client).outcome, Outcome::NotFound);
}

#[test]
fn without_a_database_the_look_up_fails() {
    let mut client = Harness::<Client>::new();
    client.disconnect("lookup");
    client.enter("get", &KEY);
    assert_eq!(last(&mut client).outcome, Outcome::Failed);
    client.connect("lookup");
    client.enter("get", &KEY);
    client.refuse(Refusal::Aborted);
    assert_eq!(last(&mut client).outcome, Outcome::Failed);
}

#[test]
fn an_answer_of_another_form_fails_too() {
    let mut client = Harness::<Client>::new();
    client.enter("get", &KEY);
    client.reply_bytes(&[0; 3]);
    assert_eq!(last(&mut client).outcome, Outcome::Failed);
    assert_eq!(client.malformed(), 1);
}
