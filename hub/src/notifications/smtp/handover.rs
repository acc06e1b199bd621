//! SMTP as a transport: a kept connection, or a new one.

use lettre::message::Message;
use lettre::transport::smtp::response::Response;
use tokio::time::Instant;

use super::pool::{Pool, Pooled};
use super::server::Server;
use super::talk::{self, Failure, Step};
use crate::notifications::channel::{NotTaken, Taken, Transport};
use crate::outbound::Outbound;

/// One server, and what it takes to reach it.
pub(crate) struct Smtp<'a> {
    pub(crate) server: &'a Server,
    pub(crate) pool: &'a Pool,
    pub(crate) outbound: &'a Outbound,
}

impl Transport for Smtp<'_> {
    type Message = Message;

    async fn hand_over(&self, message: &Message, deadline: Instant) -> Result<Taken, NotTaken> {
        match self.talk(message, deadline).await {
            Ok(response) => {
                let answer = response.message().collect::<Vec<_>>().join(" ");
                Ok(Taken { code: response.code().into(), answer })
            }
            Err(failure) => Err(NotTaken {
                code: failure.code,
                is_final: failure.is_final(),
                is_doubtful: failure.is_doubtful(),
                is_servers: failure.is_servers(),
                is_hard: failure.is_hard(),
                what: failure.what,
            }),
        }
    }
}

impl Smtp<'_> {
    async fn talk(&self, message: &Message, deadline: Instant) -> Result<Response, Failure> {
        let (envelope, bytes) = (message.envelope(), message.formatted());
        if let Some(mut pooled) = self.pool.take(&self.server.key) {
            match talk::hand_over(&mut pooled.connection, envelope, &bytes, deadline).await {
                Ok(response) => {
                    self.pool.put(&self.server.key, pooled);
                    return Ok(response);
                }
                // The server hung up on an idle connection: it has heard nothing of this mail.
                Err(failure)
                    if failure.step == Step::Sender && failure.code.is_none() && !failure.is_unfit => {}
                // After a refusal the connection is given up: RSET would cost what connecting costs.
                Err(failure) => return Err(failure),
            }
        }
        let connection = talk::open(self.server, self.outbound, deadline).await?;
        let mut pooled = Pooled { connection, mails: 0 };
        let response = talk::hand_over(&mut pooled.connection, envelope, &bytes, deadline).await?;
        self.pool.put(&self.server.key, pooled);
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;

    use super::*;
    use crate::outbound::{AllowList, Manner};

    /// What a server does when it has come so far.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Misdeed {
        Hangs,
        HangsUp,
        Says(&'static str),
    }

    /// A server that is well until it is asked this: `GREET`, `MAIL`, `RCPT`, `DATA`, or `.` for a whole mail.
    async fn server(at: &'static str, misdeed: Misdeed) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (read, mut write) = stream.into_split();
                    let mut lines = BufReader::new(read).lines();
                    let mut line = "GREET".to_owned();
                    let mut is_mail = false;
                    loop {
                        let answer = match (line.as_str(), is_mail) {
                            (text, false) if text.starts_with(at) => Some(misdeed),
                            (".", true) if at == "." => Some(misdeed),
                            (".", true) => Some(Misdeed::Says("250 taken")),
                            (_, true) => None,
                            ("GREET", _) => Some(Misdeed::Says("220 test")),
                            ("DATA", _) => Some(Misdeed::Says("354 go on")),
                            _ => Some(Misdeed::Says("250 ok")),
                        };
                        is_mail = (is_mail && line != ".") || (line == "DATA" && at != "DATA");
                        match answer {
                            Some(Misdeed::HangsUp) => return,
                            Some(Misdeed::Hangs) => std::future::pending().await,
                            Some(Misdeed::Says(text)) => {
                                write.write_all(format!("{text}\r\n").as_bytes()).await.unwrap();
                            }
                            None => {}
                        }
                        let Ok(Some(next)) = lines.next_line().await else { return };
                        line = next;
                    }
                });
            }
        });
        Server::operators(&format!("smtp://127.0.0.1:{port}")).unwrap().remove(0)
    }

    #[tokio::test]
    async fn a_mail_is_written_at_once_with_its_end() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let outbound = Outbound::new(AllowList::default(), Vec::new(), Manner::default()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let heard = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut piece = vec![0; 64 * 1024];
            // The greeting, and then an answer to each of EHLO, MAIL, RCPT and DATA.
            for answer in ["220 test", "250 ok", "250 ok", "250 ok", "354 go on"] {
                stream.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
                let length = stream.read(&mut piece).await.unwrap();
                piece.truncate(length);
                if answer == "354 go on" {
                    break;
                }
                piece.resize(64 * 1024, 0);
            }
            stream.write_all(b"250 taken\r\n").await.unwrap();
            String::from_utf8(piece).unwrap()
        });
        let body = format!(".dot\r\n{}", "una línea de texto\r\n".repeat(300));
        let message = Message::builder().from("a@example.com".parse().unwrap());
        let message = message.to("b@example.com".parse().unwrap()).body(body).unwrap();
        let server = Server::operators(&url).unwrap().remove(0);
        let pool = Pool::default();
        let smtp = Smtp { server: &server, pool: &pool, outbound: &outbound };
        smtp.hand_over(&message, Instant::now() + Duration::from_secs(20)).await.unwrap();
        let heard = heard.await.unwrap();
        assert!(heard.len() > 5_000 && heard.ends_with("\r\n.\r\n"), "a piece only: {} bytes", heard.len());
    }

    #[tokio::test]
    async fn wherever_a_server_hangs_or_hangs_up_only_a_whole_mail_is_doubtful() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let outbound = Outbound::new(AllowList::default(), Vec::new(), Manner::default()).unwrap();
        let message = Message::builder().from("a@example.com".parse().unwrap());
        let message = message.to("b@example.com".parse().unwrap()).body("Hola".to_owned()).unwrap();
        let (hangs, hangs_up) = (Misdeed::Hangs, Misdeed::HangsUp);
        for (at, misdeed, is_doubtful, is_final, is_servers) in [
            ("GREET", hangs, false, false, true),
            ("GREET", hangs_up, false, false, true),
            ("GREET", Misdeed::Says("554 no service"), false, false, true),
            ("MAIL", hangs, false, false, true),
            ("RCPT", hangs, false, false, true),
            ("RCPT", hangs_up, false, false, true),
            ("RCPT", Misdeed::Says("450 4.7.1 greylisted"), false, false, false),
            ("RCPT", Misdeed::Says("550 5.1.1 nobody"), false, true, false),
            ("RCPT", Misdeed::Says("421 too busy"), false, false, true),
            ("DATA", hangs, false, false, true),
            ("DATA", hangs_up, false, false, true),
            ("DATA", Misdeed::Says("451 later"), false, false, false),
            (".", hangs, true, false, true),
            (".", hangs_up, true, false, true),
            (".", Misdeed::Says("451 later"), false, false, false),
            (".", Misdeed::Says("554 no spam"), false, true, false),
        ] {
            let server = server(at, misdeed).await;
            let pool = Pool::default();
            let smtp = Smtp { server: &server, pool: &pool, outbound: &outbound };
            // As long as a hanging server is waited for here.
            let deadline =
                Instant::now() + Duration::from_millis(if misdeed == hangs { 500 } else { 20_000 });
            let not_taken = smtp.hand_over(&message, deadline).await.unwrap_err();
            let told = (not_taken.is_doubtful, not_taken.is_final, not_taken.is_servers);
            assert_eq!(told, (is_doubtful, is_final, is_servers), "{at} {misdeed:?}: {not_taken:?}");
            assert!(pool.take(&server.key).is_none(), "{at} {misdeed:?}: the connection is kept");
        }
        let server = server("nothing", hangs).await;
        let pool = Pool::default();
        let smtp = Smtp { server: &server, pool: &pool, outbound: &outbound };
        let taken = smtp.hand_over(&message, Instant::now() + Duration::from_secs(20)).await.unwrap();
        assert_eq!((taken.code, taken.answer.as_str()), (250, "taken"));
        assert!(pool.take(&server.key).is_some());
    }
}
