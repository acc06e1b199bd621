//! HTTP/1.1 over the agent's Unix socket, within a time budget.
//!
//! One connection per PHP thread is kept between calls. It is never shared across a fork: a child
//! that finds its parent's closes its own copy of the descriptor, which leaves the parent's intact.
//!
//! A connection that breaks before any byte of an answer is opened anew, once, and the same bytes are
//! sent again: always when the request had not been sent whole, and otherwise only if the caller says
//! that repeating it is safe. A time-out is never followed by a second attempt.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::response::{Incoming, Response};

/// A request, ready to be sent.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// `GET`, `POST` and so on.
    pub(crate) method: &'a str,
    /// Path and query.
    pub(crate) target: &'a str,
    /// Headers beyond those that the client itself sets.
    pub(crate) headers: &'a [(String, String)],
    /// The JSON body.
    pub(crate) body: Option<&'a [u8]>,
    /// Whether sending it twice does what sending it once does.
    pub(crate) repeatable: bool,
}

/// Where to connect and how long a call may take in all.
#[derive(Debug)]
pub(crate) struct Route {
    /// The agent's socket.
    pub(crate) socket: PathBuf,
    /// How long a connect may take.
    pub(crate) connect: Duration,
    /// The budget of the call: connects, sending, the answer.
    pub(crate) total: Duration,
}

/// Why there is no response.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The agent cannot have acted: it never had the whole request.
    NotSent(String),
    /// The agent had the whole request; whether it acted is not known.
    NoAnswer(String),
}

struct Kept {
    process: u32,
    socket: PathBuf,
    connection: Connection,
}

thread_local! {
    static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
}

/// Sends a request and reads its response.
pub(crate) fn exchange(route: &Route, request: &Request<'_>) -> Result<Response, Failure> {
    let deadline = Instant::now() + route.total;
    let bytes = encode(request);
    let mut may_reconnect = true;
    let mut sent = false;
    let process = std::process::id();
    let mut kept = take_kept(process, &route.socket);
    loop {
        let attempt = match kept.take() {
            Some(kept) => Ok(kept),
            None => Connection::open(&route.socket, route.connect, deadline).map(|connection| Kept {
                process,
                socket: route.socket.clone(),
                connection,
            }),
        };
        let broken = match attempt {
            Ok(mut kept) => match try_once(&mut kept.connection, &bytes, request.method, deadline) {
                Ok(response) => {
                    if response.keep_alive {
                        keep(kept);
                    }
                    return Ok(response);
                }
                Err(broken) => broken,
            },
            Err(error) => Broken { error, sent: false, answered: false, connected: false },
        };
        sent |= broken.sent;
        let repeat = may_reconnect && broken.is_closed() && (!broken.sent || request.repeatable);
        if !repeat {
            let message = broken.describe(&route.socket);
            return Err(if sent { Failure::NoAnswer(message) } else { Failure::NotSent(message) });
        }
        may_reconnect = false;
    }
}

/// How an attempt ended without a response.
struct Broken {
    error: io::Error,
    connected: bool,
    sent: bool,
    answered: bool,
}

impl Broken {
    fn is_closed(&self) -> bool {
        let closed = matches!(
            self.error.kind(),
            ErrorKind::BrokenPipe
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::UnexpectedEof
                | ErrorKind::NotConnected
        );
        self.connected && closed && !self.answered
    }

    fn describe(&self, socket: &Path) -> String {
        let socket = socket.display();
        let timed_out = matches!(self.error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock);
        match (self.connected, self.sent, timed_out) {
            (false, _, true) => format!("the agent did not accept a connection at {socket} in time"),
            (false, _, false) => format!("the agent cannot be reached at {socket}: {}", self.error),
            (true, false, true) => format!("the agent at {socket} did not take the whole request in time"),
            (true, true, true) => {
                format!("the agent at {socket} took the request and did not answer in time")
            }
            (true, _, false) if self.error.kind() == ErrorKind::UnexpectedEof => {
                format!("the agent at {socket} closed the connection without a whole answer")
            }
            (true, _, false) => format!("the connection to the agent at {socket} broke: {}", self.error),
        }
    }
}

fn try_once(
    connection: &mut Connection,
    bytes: &[u8],
    method: &str,
    deadline: Instant,
) -> Result<Response, Broken> {
    let mut unsent = bytes;
    let mut refused = None;
    while !unsent.is_empty() && refused.is_none() {
        match connection.send(unsent, deadline) {
            Ok(count) => unsent = unsent.get(count..).unwrap_or_default(),
            // An agent that refuses a body early answers, and then stops reading: look for its answer.
            Err(error) if error.kind() != ErrorKind::TimedOut => refused = Some(error),
            Err(error) => return Err(Broken { error, connected: true, sent: false, answered: false }),
        }
    }
    let sent = unsent.is_empty();
    let since = Instant::now();
    let mut incoming = Incoming::new(|buffer: &mut [u8]| connection.receive(buffer, since, deadline));
    let response = incoming.response(method);
    let answered = incoming.started();
    match response {
        Ok(mut response) => {
            connection.answered(since);
            response.keep_alive &= sent;
            Ok(response)
        }
        Err(error) => Err(Broken { error: refused.unwrap_or(error), connected: true, sent, answered }),
    }
}

fn encode(request: &Request<'_>) -> Vec<u8> {
    let mut head = format!(
        "{} {} HTTP/1.1\r\nhost: localhost\r\nuser-agent: trastienda-php/{}\r\naccept: application/json\r\n",
        request.method,
        request.target,
        env!("CARGO_PKG_VERSION")
    );
    for (name, value) in request.headers {
        for part in [name.as_str(), ": ", value, "\r\n"] {
            head.push_str(part);
        }
    }
    if let Some(body) = request.body {
        head.push_str("content-type: application/json\r\ncontent-length: ");
        head.push_str(&body.len().to_string());
        head.push_str("\r\n");
    } else if !matches!(request.method, "GET" | "HEAD") {
        head.push_str("content-length: 0\r\n");
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(request.body.unwrap_or_default());
    bytes
}

/// The kept connection, out of its place, if it is this process's, for this socket and still open.
fn take_kept(process: u32, socket: &Path) -> Option<Kept> {
    let kept = KEPT.with(|place| place.try_borrow_mut().ok()?.take())?;
    let ours = kept.process == process && kept.socket == socket;
    (ours && kept.connection.is_idle()).then_some(kept)
}

fn keep(kept: Kept) {
    KEPT.with(|place| {
        if let Ok(mut place) = place.try_borrow_mut() {
            *place = Some(kept);
        }
    });
}
