//! A control connection: messages in, answers out, many requests open at once, everything bounded.

use crate::delegations::Acting;
use crate::node::Shared;
use crate::requests;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use veritee_node_client::{Fingerprint, message};
use veritee_node_protocol::{
    Answer, Call, Failure, FailureKind, IdentityKey, MESSAGE_BYTES_MAX, Request, Response, VERSION,
};

/// Serves an authenticated connection until it ends.
pub(crate) async fn serve(shared: Shared, identity: IdentityKey, stream: TlsStream<TcpStream>) {
    shared.with(|node| node.counts.control_connections += 1);
    tracing::debug!(who = %Fingerprint(identity), "a control connection is up");
    let (reader, writer) = tokio::io::split(stream);
    let (answers, queue) = mpsc::channel(ANSWERS_MAX);
    let mut writing = tokio::task::spawn_local(write_answers(writer, queue));
    let ended = tokio::select! {
        ended = read_calls(&shared, identity, reader, answers) => ended,
        _ = &mut writing => Err(io::Error::other("it takes no answers")),
    };
    if let Err(error) = ended {
        tracing::debug!(who = %Fingerprint(identity), %error, "a control connection failed");
    }
    // What was answered still goes out.
    if !writing.is_finished() {
        drop(timeout(FAREWELL, &mut writing).await);
        writing.abort();
    }
}

async fn read_calls(
    shared: &Shared, identity: IdentityKey, mut reader: ReadHalf<TlsStream<TcpStream>>, answers: mpsc::Sender<Vec<u8>>,
) -> io::Result<()> {
    let limits = shared.look(|node| node.config.limits.clone());
    let open = Arc::new(Semaphore::new(limits.open_requests));
    // Ends requests with the connection.
    let mut tasks = JoinSet::new();
    let mut greeted = false;
    let mut acting = None;
    loop {
        while tasks.try_join_next().is_some() {}
        // A stranger with a token has nothing large to say.
        let known = shared.look(|node| node.model.owner_of(&identity).is_some());
        let bytes_max = if known { MESSAGE_BYTES_MAX } else { ENROLMENT_BYTES_MAX };
        let idle = Duration::from_millis(limits.idle_ms);
        let Some(bytes) = read_message(&mut reader, bytes_max, idle, Duration::from_millis(limits.message_ms)).await?
        else {
            // The other end said goodbye: open requests are finished.
            while tasks.join_next().await.is_some() {}
            return Ok(());
        };
        let call: Call = match message::decode(&bytes) {
            Ok(call) => call,
            Err(error) => {
                answer(&answers, 0, failed(FailureKind::Malformed, "the message is not a call")).await;
                return Err(error);
            }
        };
        drop(bytes);
        let Call { id, request } = call;
        if let Request::Hello { version } = request {
            greeted = version == VERSION;
            answer(&answers, id, Response::Hello { version: VERSION }).await;
            continue;
        }
        if !greeted {
            answer(&answers, id, failed(FailureKind::Version, "versions were not compared, or differ")).await;
            continue;
        }
        if let Request::ActFor { owner, delegation } = request {
            // Here, so that what was sent behind it is asked in that name.
            let judged = Acting::judge(&identity, owner, &delegation);
            acting = judged.ok();
            let response = judged.map_or_else(|reason| failed(FailureKind::Forbidden, reason), |_| Response::Done);
            answer(&answers, id, response).await;
            continue;
        }
        let Ok(permit) = Arc::clone(&open).acquire_owned().await else { return Ok(()) };
        let (shared, answers) = (shared.clone(), answers.clone());
        tasks.spawn_local(async move {
            let response = requests::answer(&shared, (identity, acting), request).await;
            answer(&answers, id, response).await;
            drop(permit);
        });
    }
}

/// Reads a message. Silence between messages and slowness inside of one are bounded separately.
async fn read_message(
    reader: &mut ReadHalf<TlsStream<TcpStream>>, bytes_max: usize, idle: Duration, message: Duration,
) -> io::Result<Option<Vec<u8>>> {
    let mut first = [0; 1];
    match timeout(idle, reader.read(&mut first)).await {
        Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "silent for too long")),
        Ok(Err(error)) => return Err(error),
        Ok(Ok(0)) => return Ok(None),
        Ok(Ok(_)) => {}
    }
    let mut rest = (&first[..]).chain(reader);
    match timeout(message, message::read(&mut rest, bytes_max)).await {
        Ok(read) => read,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "a message took too long")),
    }
}

async fn answer(answers: &mpsc::Sender<Vec<u8>>, id: u64, response: Response) {
    let bytes = message::encode(&Answer { id, response }, MESSAGE_BYTES_MAX).or_else(|error| {
        let response = failed(FailureKind::Internal, &error.to_string());
        message::encode(&Answer { id, response }, MESSAGE_BYTES_MAX)
    });
    if let Ok(bytes) = bytes {
        // The connection may have ended.
        drop(answers.send(bytes).await);
    }
}

/// Writes answers, batched, until no one can give more. A reader that is too slow ends the connection.
async fn write_answers(mut writer: WriteHalf<TlsStream<TcpStream>>, mut queue: mpsc::Receiver<Vec<u8>>) {
    while let Some(mut bytes) = queue.recv().await {
        while bytes.len() < BATCH_BYTES
            && let Ok(more) = queue.try_recv()
        {
            bytes.extend_from_slice(&more);
        }
        let written = async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        };
        if !matches!(timeout(WRITE_PATIENCE, written).await, Ok(Ok(()))) {
            return;
        }
    }
    drop(timeout(FAREWELL, writer.shutdown()).await);
}

/// A refusal.
pub(crate) fn failed(kind: FailureKind, message: &str) -> Response {
    Response::Failed(Failure { kind, message: message.to_owned() })
}

const ANSWERS_MAX: usize = 64;
const ENROLMENT_BYTES_MAX: usize = 1024;
const BATCH_BYTES: usize = 64 * 1024;
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
const FAREWELL: Duration = Duration::from_secs(1);
