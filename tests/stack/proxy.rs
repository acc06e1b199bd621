//! A wire between two programs that can be cut, and can go wrong in other ways.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What a slow wire lets through at once, and how often.
const TRICKLE: usize = 512;
const TRICKLE_EVERY: Duration = Duration::from_millis(20);

/// How the wire is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wire {
    /// It works.
    Whole,
    /// Connections are taken and closed.
    Shut,
    /// Connections are taken and reset.
    Resetting,
    /// Connections are taken, what is said is taken, and nothing comes through until the wire is whole.
    BlackHole,
    /// Little comes through at a time.
    Slow,
    /// The present connections are dead without either side being told; new ones work. Once the wire is whole they are reset,
    /// as a machine does that has been started again and is spoken to about what it does not know.
    HalfOpen,
}

#[derive(Debug, Clone, Copy)]
struct State {
    wire: Wire,
    /// How often everything was cut.
    cuts: u64,
    /// How often it became half open.
    halves: u64,
}

/// Passes on every connection to another port, as the state of the wire allows.
#[derive(Debug)]
pub struct Proxy {
    /// Its port on loopback.
    pub port: u16,
    state: watch::Sender<State>,
    open: Arc<AtomicUsize>,
}

impl Proxy {
    /// Starts one before a port.
    pub async fn start(target: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (state, receiver) = watch::channel(State { wire: Wire::Whole, cuts: 0, halves: 0 });
        let open = Arc::new(AtomicUsize::new(0));
        let passing = open.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                match receiver.borrow().wire {
                    Wire::Shut => continue,
                    Wire::Resetting => {
                        let _ = client.set_zero_linger();
                        continue;
                    }
                    _ => {}
                }
                tokio::spawn(pass(client, target, receiver.clone(), passing.clone()));
            }
        });
        Ok(Self { port, state, open })
    }

    /// How the wire is from now on. What is shut or resetting, or whole again after it was half open, ends connections.
    pub fn set(&self, wire: Wire) {
        self.state.send_modify(|state| {
            state.wire = wire;
            match wire {
                Wire::Shut | Wire::Resetting => state.cuts += 1,
                Wire::HalfOpen => state.halves += 1,
                Wire::Whole | Wire::BlackHole | Wire::Slow => {}
            }
        });
    }

    /// Cuts every connection, wherever it is in what it says.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Cuts, and takes no new connection until [`Self::mend`].
    pub fn shut(&self) {
        self.set(Wire::Shut);
    }

    /// The wire is whole again.
    pub fn mend(&self) {
        self.set(Wire::Whole);
    }

    /// How many connections there are.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

async fn pass(mut client: TcpStream, target: u16, mut state: watch::Receiver<State>, open: Arc<AtomicUsize>) {
    let born = *state.borrow_and_update();
    // In a black hole, who connects is answered by the kernel and nobody else.
    if state.wait_for(|state| state.wire != Wire::BlackHole).await.is_err() {
        return;
    }
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", target)).await else { return };
    open.fetch_add(1, Ordering::SeqCst);
    let reset = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            () = copy(from_client, to_server, state.clone(), born) => false,
            () = copy(from_server, to_client, state.clone(), born) => false,
            cut = end(state, born) => cut,
        }
    };
    if reset {
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
    open.fetch_sub(1, Ordering::SeqCst);
}

/// Copies one direction until its end. While nothing may come through, nothing is read: an end would be something.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
    born: State,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(count) = from.read(&mut buffer).await else { return };
        let passes = |state: &State| state.wire != Wire::BlackHole && state.halves == born.halves;
        if state.wait_for(passes).await.is_err() || count == 0 {
            return;
        }
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            let slow = state.borrow().wire == Wire::Slow;
            let (part, later) = rest.split_at(if slow { TRICKLE.min(rest.len()) } else { rest.len() });
            if slow {
                tokio::time::sleep(TRICKLE_EVERY).await;
            }
            if to.write_all(part).await.is_err() {
                return;
            }
            rest = later;
        }
    }
}

/// Returns once the connection is to be ended from outside, and whether by a reset.
async fn end(mut state: watch::Receiver<State>, born: State) -> bool {
    let ended = state.wait_for(|state| {
        state.cuts != born.cuts || (state.halves != born.halves && state.wire == Wire::Whole)
    });
    ended.await.is_ok_and(|state| state.cuts == born.cuts || state.wire == Wire::Resetting)
}
