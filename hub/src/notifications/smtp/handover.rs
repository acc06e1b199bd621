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
