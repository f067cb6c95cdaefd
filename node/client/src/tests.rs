use crate::{Client, ClientError, Identity, IdentityError, Token, message, parse_fingerprint, tls};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use veritee_node_protocol::{Answer, Call, Failure, FailureKind, IdentityKey, Request, Response, VERSION};

/// What a scripted node does with each call; `None` closes the channel.
type Script = fn(Call) -> Option<Vec<Answer>>;

/// Serves one channel on a fresh port.
async fn node(identity: &Identity, owner: IdentityKey, script: Script) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let pinned = Arc::new(move |identity: &IdentityKey| *identity == owner);
    let acceptor = TlsAcceptor::from(Arc::new(tls::server(identity, pinned, tls::CONTROL).unwrap()));
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = acceptor.accept(tcp).await else { return };
        while let Ok(Some(bytes)) = message::read(&mut stream, 1 << 20).await {
            let Some(answers) = script(message::decode(&bytes).unwrap()) else { break };
            for answer in answers {
                stream.write_all(&message::encode(&answer, 1 << 20).unwrap()).await.unwrap();
            }
            stream.flush().await.unwrap();
        }
    });
    address
}

fn polite(call: Call) -> Option<Vec<Answer>> {
    let response = match call.request {
        Request::Hello { .. } => Response::Hello { version: VERSION },
        Request::Revoke => Response::Failed(Failure { kind: FailureKind::Forbidden, message: "no".to_owned() }),
        Request::Describe => return Some(Vec::new()),
        Request::Drain { .. } => return None,
        _ => Response::Done,
    };
    Some(vec![Answer { id: call.id, response }])
}

#[tokio::test]
async fn pinned_ends_talk_and_calls_are_answered() {
    let (own, node_identity) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let address = node(&node_identity, own.public(), polite).await;
    let client = Client::connect(&address, node_identity.public(), &own).await.unwrap();
    let enrol = || client.call(Request::Enrol { identity: [7; 32] });
    let (first, second) = tokio::join!(enrol(), enrol());
    assert_eq!(first.unwrap(), Response::Done);
    assert_eq!(second.unwrap(), Response::Done);
    assert!(
        matches!(client.call(Request::Revoke).await, Err(ClientError::Refused(failure)) if failure.message == "no")
    );
}

#[tokio::test]
async fn a_silent_node_costs_a_bounded_time_and_a_closed_channel_ends_all_calls() {
    let (own, node_identity) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let address = node(&node_identity, own.public(), polite).await;
    let client = Client::connect(&address, node_identity.public(), &own).await.unwrap();
    let silent = client.call_within(Request::Describe, Duration::from_millis(20)).await;
    assert!(matches!(silent, Err(ClientError::Timeout { .. })));
    let open = client.call(Request::Describe);
    let closing = client.call(Request::Drain { application: [0; 16], wait_ms: 0 });
    let (open, closing) = tokio::join!(open, closing);
    assert!(matches!(open, Err(ClientError::Closed { .. })));
    assert!(matches!(closing, Err(ClientError::Closed { .. })));
    assert!(!client.is_open());
    assert!(matches!(client.call(Request::Describe).await, Err(ClientError::Closed { .. })));
}

#[tokio::test]
async fn a_stranger_sees_the_handshake_fail() {
    let (own, node_identity) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let stranger = Identity::generate().unwrap();
    let address = node(&node_identity, own.public(), polite).await;
    let refused = Client::connect(&address, node_identity.public(), &stranger).await;
    assert!(matches!(refused, Err(ClientError::Handshake { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_node_with_another_key_is_refused() {
    let (own, node_identity) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let address = node(&node_identity, own.public(), polite).await;
    let refused = Client::connect(&address, own.public(), &own).await;
    assert!(matches!(refused, Err(ClientError::Handshake { .. })), "{refused:?}");
}

#[tokio::test]
async fn an_unreachable_node_is_reported_as_such() {
    let own = Identity::generate().unwrap();
    let refused = Client::connect("127.0.0.1:1", own.public(), &own).await;
    assert!(matches!(refused, Err(ClientError::Unreachable { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_length_above_the_limit_is_refused_before_memory_is_claimed() {
    let mut bytes: &[u8] = &[0xff, 0xff, 0xff, 0x7f, 1, 2, 3];
    let error = message::read(&mut bytes, 1024).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    let mut truncated: &[u8] = &[8, 0, 0, 0, 1, 2, 3];
    let error = message::read(&mut truncated, 1024).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    let mut nothing: &[u8] = &[];
    assert!(message::read(&mut nothing, 1024).await.unwrap().is_none());
}

#[test]
fn an_identity_survives_its_file_and_refuses_an_open_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.key");
    let own = Identity::generate().unwrap();
    own.save(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(Identity::load(&path).unwrap().public(), own.public());
    assert!(matches!(own.save(&path), Err(IdentityError::File { .. })), "never overwrites");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(Identity::load(&path), Err(IdentityError::OpenToOthers { mode: 0o640, .. })));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&path, b"veritee-identity-1 00").unwrap();
    assert!(matches!(Identity::load(&path), Err(IdentityError::NotAnIdentity { .. })));
}

#[test]
fn fingerprints_and_tokens_are_read_as_they_are_printed() {
    let own = Identity::generate().unwrap();
    assert_eq!(parse_fingerprint(&own.to_string()).unwrap(), own.public());
    assert!(parse_fingerprint("00").is_err());
    assert!(parse_fingerprint(&"g".repeat(64)).is_err());
    let token = Token::generate().unwrap();
    let again: Token = token.reveal().parse().unwrap();
    assert_eq!(again.identity().public(), token.identity().public());
    assert_ne!(Token::generate().unwrap().identity().public(), token.identity().public());
    assert!("00".parse::<Token>().is_err());
}

#[test]
fn nothing_secret_is_shown() {
    let identity = Identity::from_seed(&[0x42; 32]);
    assert!(!format!("{identity:?} {identity}").contains("4242"));
    assert_eq!(format!("{:?}", Token::generate().unwrap()), "Token(secret)");
}
