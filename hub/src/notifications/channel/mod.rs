//! How a notification travels. A channel is a folder or file here, a transport one beside it, and neither knows the other:
//! - a [`Channel`] reads a request: whom it goes to, what it cannot take, and what is stored of it;
//! - a [`Transport`] hands what is stored to somebody else, and says what that means: taken, refused, or unknown.
//!
//! E-mail is a channel whose transport is SMTP ([`crate::notifications::smtp`]). WhatsApp by wa.me has none: a person is
//! its transport, and opening the link is all that the hub learns.

pub(crate) mod email;
pub(crate) mod whatsapp;

use sqlx::PgConnection;
use trastienda_protocol::notification::NewNotification;
use trastienda_protocol::problem::FieldError;

use crate::app::App;
use crate::http::Result;
use crate::notifications::render::Rendered;
use crate::notifications::settings::Settings;
use crate::notifications::store::NewRow;
use crate::projects::model::ProjectContext;

/// A request as a channel checks it.
pub(crate) struct Checking<'a> {
    pub(crate) app: &'a App,
    pub(crate) conn: &'a mut PgConnection,
    pub(crate) context: &'a ProjectContext,
    pub(crate) settings: &'a Settings,
    pub(crate) new: &'a NewNotification,
}

/// What a request becomes by a channel.
pub(crate) trait Channel {
    /// Whom it goes to, read in full.
    type To: Send;

    /// Reads the recipient and checks what is the channel's own. What is wrong is added to the errors.
    fn check(
        checking: Checking<'_>,
        errors: &mut Vec<FieldError>,
    ) -> impl Future<Output = Result<Option<Self::To>>> + Send;

    /// What is wrong with the rendered texts.
    fn check_texts(new: &NewNotification, rendered: &Rendered) -> Option<FieldError>;

    /// Completes the row with all that its transport needs.
    fn fill(
        app: &App,
        row: &mut NewRow,
        new: &NewNotification,
        to: Self::To,
        rendered: Rendered,
    ) -> anyhow::Result<()>;
}

/// Who takes a message from the hub.
pub(crate) trait Transport {
    /// What is handed over.
    type Message: Sync;

    /// Hands it over; not after the deadline.
    fn hand_over(
        &self,
        message: &Self::Message,
        deadline: tokio::time::Instant,
    ) -> impl Future<Output = std::result::Result<Taken, NotTaken>> + Send;
}

/// The other side has it.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) code: u16,
    pub(crate) answer: String,
}

/// The other side does not have it, or nobody knows.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question that is answered by itself")]
pub(crate) struct NotTaken {
    /// The other side's code, if it answered.
    pub(crate) code: Option<u16>,
    /// What it said, or what went wrong.
    pub(crate) what: String,
    /// It is refused for good.
    pub(crate) is_final: bool,
    /// The other side may have it: only the very same may be handed over again, and to nobody else.
    pub(crate) is_doubtful: bool,
    /// It says something about the other side, not about the message.
    pub(crate) is_servers: bool,
    /// There is no such recipient.
    pub(crate) is_hard: bool,
}
