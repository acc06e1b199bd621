//! Files that a mail names by their address, fetched when it is sent: through the one HTTP client, and capped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode};
use trastienda_protocol::limits::ATTACHMENTS_MAX;

use crate::app::App;
use crate::notifications::model::EmailPayload;

/// Why a mail has not all of its files.
#[derive(Debug)]
pub(super) enum Unfetched {
    /// Nobody will give it.
    Never(String),
    /// Perhaps later.
    Now(String),
}

/// The payload with every file's bytes.
pub(super) async fn fetch(app: &App, mut payload: EmailPayload) -> Result<EmailPayload, Unfetched> {
    let given: usize = payload.attachments.iter().map(|file| file.content.len() / 4 * 3).sum();
    let mut room = ATTACHMENTS_MAX.saturating_sub(given);
    for (index, file) in payload.attachments.iter_mut().enumerate() {
        let Some(url) = &file.url else { continue };
        let bytes = get(app, url, room).await.map_err(|unfetched| unfetched.of(index))?;
        room -= bytes.len();
        file.content = STANDARD.encode(bytes);
    }
    Ok(payload)
}

impl Unfetched {
    fn of(self, index: usize) -> Self {
        let told = |error| format!("the attachment {index} cannot be fetched: {error}");
        match self {
            Self::Never(error) => Self::Never(told(error)),
            Self::Now(error) => Self::Now(told(error)),
        }
    }
}

async fn get(app: &App, url: &str, room: usize) -> Result<Vec<u8>, Unfetched> {
    let url = url.parse().map_err(|_| Unfetched::Never("its address cannot be read".to_owned()))?;
    let request = app.outbound.request(Method::GET, url).build();
    let request = request.map_err(|_| Unfetched::Never("its address cannot be read".to_owned()))?;
    let mut response = match app.outbound.send(request).await {
        Ok(response) => response,
        Err(crate::outbound::SendError::Refused(refused)) => {
            return Err(Unfetched::Never(refused.to_string()));
        }
        // Without its address: that may hold a token.
        Err(crate::outbound::SendError::Failed(error)) => {
            return Err(Unfetched::Now(error.without_url().to_string()));
        }
    };
    let status = response.status();
    if !status.is_success() {
        let told = format!("its server answers {status}");
        let is_for_now = status.is_server_error()
            || matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY
            );
        return Err(if is_for_now { Unfetched::Now(told) } else { Unfetched::Never(told) });
    }
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(bytes),
            Ok(Some(chunk)) if bytes.len() + chunk.len() > room => {
                return Err(Unfetched::Never(format!(
                    "with the others it is more than {ATTACHMENTS_MAX} bytes"
                )));
            }
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Err(error) => return Err(Unfetched::Now(error.without_url().to_string())),
        }
    }
}
