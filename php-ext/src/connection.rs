//! A connection to the agent's Unix socket. Whatever waits, waits until a deadline.

use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::spin::Spin;

#[derive(Debug)]
pub(crate) struct Connection {
    stream: Socket,
    spin: Spin,
}

impl Connection {
    /// Connects within the given time.
    pub(crate) fn open(socket: &Path, within: Duration, deadline: Instant) -> io::Result<Self> {
        let stream = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // On Linux a connect to a Unix socket whose backlog is full waits for as long as a send may.
        let address = SockAddr::unix(socket)?;
        loop {
            stream.set_write_timeout(Some(left(deadline)?.min(within)))?;
            match stream.connect(&address) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                done => {
                    done?;
                    // From here on, waiting is what `wait` is for.
                    stream.set_nonblocking(true)?;
                    return Ok(Self { stream, spin: Spin::default() });
                }
            }
        }
    }

    /// Sends as much as there is room for.
    pub(crate) fn send(&self, bytes: &[u8], deadline: Instant) -> io::Result<usize> {
        loop {
            // Mostly there is room. Without the flag, a closed peer would raise SIGPIPE, which ends a process that does not
            // expect it.
            match self.stream.send_with_flags(bytes, libc::MSG_NOSIGNAL) {
                Err(error) if is_transient(&error) => self.wait(PollFlags::OUT, deadline)?,
                done => return done,
            }
        }
    }

    /// Reads some of the answer to what was sent then.
    pub(crate) fn receive(&self, buffer: &mut [u8], sent: Instant, deadline: Instant) -> io::Result<usize> {
        loop {
            // To yield instead of looking again at once would give a busy processor away for milliseconds.
            if sent.elapsed() >= self.spin.look() {
                self.wait(PollFlags::IN, deadline)?;
            }
            match io::Read::read(&mut &self.stream, buffer) {
                Err(error) if is_transient(&error) => std::hint::spin_loop(),
                done => return done,
            }
        }
    }

    /// The whole answer to what was sent then is here.
    pub(crate) fn answered(&mut self, sent: Instant) {
        self.spin.answered(sent.elapsed());
    }

    /// Waits until the connection can be used, or is closed. Not in a read that blocks: the kernel would wake it for nothing as
    /// well, when the agent has read the request and there is room for more.
    fn wait(&self, until: PollFlags, deadline: Instant) -> io::Result<()> {
        let left = Timespec::try_from(left(deadline)?).map_err(|_| ErrorKind::InvalidInput)?;
        match poll(&mut [PollFd::new(&self.stream, until)], Some(&left)) {
            Ok(0) => Err(ErrorKind::TimedOut.into()),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it has neither been closed nor sent something unasked.
    pub(crate) fn is_idle(&self) -> bool {
        let mut byte = [MaybeUninit::uninit(); 1];
        let peeked = self.stream.recv_with_flags(&mut byte, libc::MSG_PEEK | libc::MSG_DONTWAIT);
        matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

/// Interrupted by a signal, or another look has to be taken: the deadline decides, not the error.
fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock)
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    // The socket options count in microseconds, and zero means for ever.
    if left < Duration::from_micros(1) { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}
