//! Telling what an agent had acknowledged and the rules refuse: the shop believes that it is on its way.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use trastienda_protocol::problem::Problem;

use super::{Alert, tell};
use crate::alerts::kinds;
use crate::app::App;
use crate::projects::model::Project;

/// What was refused.
#[derive(Debug)]
pub(crate) struct Refused<'a> {
    pub(crate) project: &'a Project,
    /// `notification` or `event`.
    pub(crate) kind: &'static str,
    pub(crate) id: String,
    /// Where it is listed.
    pub(crate) listed_at: &'static str,
    pub(crate) problem: &'a Problem,
    pub(crate) at: DateTime<Utc>,
}

/// Tells the operator: once a day for a project, however much is refused. What it held is not told.
pub(crate) async fn tell_refused(
    app: &App,
    conn: &mut PgConnection,
    refused: &Refused<'_>,
) -> anyhow::Result<()> {
    let Refused { project, kind, id, listed_at, problem, at } = refused;
    metrics::counter!("trastienda_refused_after_acknowledgement_total", "kind" => *kind).increment(1);
    let pointers: Vec<&str> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
    let why = format!("{} {} {}", problem.status, problem.code, pointers.join(" "));
    let (name, why) = (&project.name, why.trim_end());
    let body = format!(
        "Un agente del proyecto «{name}» había aceptado algo que el hub tiene que rechazar: {id} ({why}).\n\
         La tienda cree que está en camino. Hoy no se avisa otra vez aunque haya más.\n\n\
         Qué se rechazó y por qué:  GET {listed_at}\n\n\
         --\n\
         An agent of the project \"{name}\" had acknowledged something that the hub has to refuse: {id} ({why}).\n\
         The shop believes that it is on its way. There is no other mail about this today, even if there are more.\n\n\
         What was refused and why:  GET {listed_at}\n",
    );
    let alert = Alert {
        kind: kinds::DEAD_LETTERS.name,
        key: format!("refused:{kind}:{}:{}", project.id, at.date_naive()),
        subject: format!("Trastienda: algo que {name} había dado por enviado se rechaza"),
        body,
    };
    tell(app, conn, alert).await
}
