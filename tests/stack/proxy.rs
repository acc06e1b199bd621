//! A wire between two programs that can be cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes on every connection to another port, until it is cut.
#[derive(Debug)]
pub struct Proxy {
    /// Its port on loopback.
    pub port: u16,
    cuts: watch::Sender<u64>,
    open: Arc<AtomicUsize>,
    shut: Arc<AtomicBool>,
}

impl Proxy {
    /// Starts one before a port.
    pub async fn start(target: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (cuts, receiver) = watch::channel(0);
        let (open, shut) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (passing, closed) = (open.clone(), shut.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if closed.load(Ordering::SeqCst) {
                    continue;
                }
                tokio::spawn(pass(client, target, receiver.clone(), passing.clone()));
            }
        });
        Ok(Self { port, cuts, open, shut })
    }

    /// Cuts every connection, wherever it is in what it says.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts, and takes no new connection until [`Self::mend`].
    pub fn shut(&self) {
        self.shut.store(true, Ordering::SeqCst);
        self.cut();
    }

    /// Takes connections again.
    pub fn mend(&self) {
        self.shut.store(false, Ordering::SeqCst);
    }

    /// How many connections there are.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

async fn pass(mut client: TcpStream, target: u16, mut cuts: watch::Receiver<u64>, open: Arc<AtomicUsize>) {
    cuts.mark_unchanged();
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", target)).await else { return };
    open.fetch_add(1, Ordering::SeqCst);
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _ = cuts.changed() => {}
    }
    open.fetch_sub(1, Ordering::SeqCst);
}
