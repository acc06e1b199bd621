//! A small SMTP server that answers as it is told: what a well-behaved one never would.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The server.
#[derive(Clone)]
pub(crate) struct SmtpServer {
    url: String,
    state: Arc<Mutex<State>>,
    held: Arc<watch::Sender<bool>>,
}

struct State {
    /// Empty: the connection is closed instead.
    answer: &'static str,
    /// The answer to `RCPT TO`.
    recipient: &'static str,
    /// It says nothing at all after a whole mail.
    hangs: bool,
    mails: Vec<String>,
    recipients: Vec<String>,
    connections: usize,
}

impl SmtpServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            answer: "250 taken",
            recipient: "250 ok",
            hangs: false,
            mails: Vec::new(),
            recipients: Vec::new(),
            connections: 0,
        }));
        let held = Arc::new(watch::Sender::new(false));
        let (shared, holder) = (state.clone(), held.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().unwrap().connections += 1;
                tokio::spawn(serve(stream, shared.clone(), holder.subscribe()));
            }
        });
        Self { url, state, held }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// What it answers to a whole mail from now on.
    pub(crate) fn answer(&self, answer: &'static str) {
        self.state.lock().unwrap().answer = answer;
    }

    /// What it answers to a recipient from now on.
    pub(crate) fn recipient(&self, answer: &'static str) {
        self.state.lock().unwrap().recipient = answer;
    }

    /// It takes a whole mail and never says a word from now on.
    pub(crate) fn hang(&self) {
        self.state.lock().unwrap().hangs = true;
    }

    /// Whether it takes a whole mail and leaves its caller waiting for the answer, from now on.
    pub(crate) fn hold(&self, is_held: bool) {
        self.held.send_replace(is_held);
    }

    /// How often somebody connected.
    pub(crate) fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    pub(crate) fn port(&self) -> u16 {
        self.url.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// It takes a whole mail and hangs up without a word from now on.
    pub(crate) fn hang_up(&self) {
        self.answer("");
    }

    /// Whom mails were for, as each was said.
    pub(crate) fn recipients(&self) -> Vec<String> {
        self.state.lock().unwrap().recipients.clone()
    }

    /// The mails that it was given, refused ones too.
    pub(crate) fn mails(&self) -> Vec<String> {
        self.state.lock().unwrap().mails.clone()
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>, mut held: watch::Receiver<bool>) -> Option<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 test\r\n").await.ok()?;
    while let Some(line) = lines.next_line().await.ok()? {
        let command = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        let answer = match command.as_str() {
            "DATA" => {
                write.write_all(b"354 go on\r\n").await.ok()?;
                let mut mail = String::new();
                loop {
                    let line = lines.next_line().await.ok()??;
                    if line == "." {
                        break;
                    }
                    mail.push_str(&line);
                    mail.push('\n');
                }
                let (answer, hangs) = {
                    let mut state = state.lock().unwrap();
                    state.mails.push(mail);
                    (state.answer, state.hangs)
                };
                held.wait_for(|is_held| !is_held).await.ok()?;
                if hangs {
                    // Until the client has had enough.
                    while lines.next_line().await.ok()?.is_some() {}
                }
                if answer.is_empty() {
                    return None;
                }
                answer
            }
            "RCPT" => {
                let mut state = state.lock().unwrap();
                let to = line.split_once(':').map_or("", |(_, to)| to.trim());
                state.recipients.push(to.to_owned());
                state.recipient
            }
            "QUIT" => "221 bye",
            _ => "250 ok",
        };
        write.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
    }
    Some(())
}
