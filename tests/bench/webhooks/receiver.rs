//! A receiver that costs as little as it can.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::load::{message_end, now};

/// How it answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner {
    /// 200, after a while.
    After(Duration),
    /// Never.
    Hang,
}

/// An address that takes deliveries and notes their age.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    noted: Arc<Noted>,
    count: watch::Receiver<usize>,
    accepting: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Noted {
    ages: Mutex<Vec<f64>>,
    ids: Mutex<HashSet<String>>,
    count: watch::Sender<usize>,
}

impl Receiver {
    pub(crate) async fn start(manner: Manner) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (sender, count) = watch::channel(0);
        let noted = Arc::new(Noted { ages: Mutex::default(), ids: Mutex::default(), count: sender });
        let shared = noted.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let noted = shared.clone();
                tokio::spawn(async move { serve(stream, &noted, manner).await });
            }
        });
        Ok(Self { address, noted, count, accepting })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Waits until so many deliveries have come since the last [`Self::take`], duplicates too.
    pub(crate) async fn wait_for(&mut self, count: usize) -> anyhow::Result<()> {
        let waited = self.count.wait_for(|got| *got >= count);
        if tokio::time::timeout(Duration::from_mins(2), waited).await.is_err() {
            bail!("{} of {count} deliveries came in two minutes", self.count());
        }
        Ok(())
    }

    pub(crate) fn count(&self) -> usize {
        *self.noted.count.borrow()
    }

    /// The ids of the events that came.
    pub(crate) fn ids(&self) -> HashSet<String> {
        self.noted.ids.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The ages of what came since the last time, in milliseconds.
    pub(crate) fn take(&self) -> Vec<f64> {
        self.noted.count.send_replace(0);
        std::mem::take(&mut *self.noted.ages.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut stream: TcpStream, noted: &Noted, manner: Manner) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::with_capacity(4_096);
    loop {
        let end = message_end(&buffer);
        if let Some(end) = end.filter(|end| buffer.len() >= *end) {
            note(&buffer[..end], noted);
            buffer.drain(..end);
            match manner {
                Manner::Hang => std::future::pending::<()>().await,
                Manner::After(Duration::ZERO) => {}
                Manner::After(delay) => tokio::time::sleep(delay).await,
            }
            if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.is_err() {
                return;
            }
        } else if !matches!(stream.read_buf(&mut buffer).await, Ok(1..)) {
            return;
        }
    }
}

const ID: &[u8] = b"webhook-id: ";

fn note(request: &[u8], noted: &Noted) {
    if let Some(sent_at) = number_after(request, b"\"sent_at\":") {
        #[expect(clippy::cast_precision_loss, reason = "far less than 2^52 nanoseconds")]
        let age = now().saturating_sub(sent_at) as f64 / 1e6;
        noted.ages.lock().unwrap_or_else(PoisonError::into_inner).push(age);
    }
    if let Some(at) = request.windows(ID.len()).position(|part| part == ID) {
        let id: Vec<u8> = request[at + ID.len()..].iter().copied().take_while(|byte| *byte > b' ').collect();
        noted
            .ids
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(String::from_utf8_lossy(&id).into_owned());
    }
    noted.count.send_modify(|count| *count += 1);
}

fn number_after(bytes: &[u8], name: &[u8]) -> Option<u64> {
    let at = bytes.windows(name.len()).position(|part| part == name)? + name.len();
    let digits: Vec<u8> = bytes[at..].iter().copied().take_while(u8::is_ascii_digit).collect();
    std::str::from_utf8(&digits).ok()?.parse().ok()
}
