//! What is wrong now: every kind is looked at by itself, and says nothing rather than something that it does not know.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use trastienda_protocol::ids::{CaseId, EndpointId, Id as _, SmtpAccountId};
use uuid::Uuid;

use super::kinds::{self, KINDS, Kind};
use super::settings::Settings;
use super::store::{self, AgentSeen};
use crate::gauges;

/// An agent that was not seen for so long is nobody's any more.
const FORGOTTEN: TimeDelta = TimeDelta::days(7);
/// For so long after the last refusal it counts as going on.
const REFUSALS: TimeDelta = TimeDelta::hours(24);
/// How far back attempts at mail are looked at.
const MAILS: TimeDelta = TimeDelta::minutes(15);
/// More open cases than this, and which of them are gone is not known.
const CASES_MAX: i64 = 2_000;
/// Connections in use, of those that PostgreSQL has, in percent.
const CONNECTIONS_PERCENT: i64 = 90;
/// What is looked at in PostgreSQL itself.
const STRAINS: [&str; 2] = ["connections", "wraparound"];
/// Of the two thousand million transactions after which PostgreSQL stops.
const AGE_MAX: i64 = 1_600_000_000;

/// Something that is wrong.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) kind: &'static Kind,
    pub(crate) project: Option<Uuid>,
    /// What of its kind.
    pub(crate) subject: String,
    pub(crate) details: Value,
    /// That it began is told by mail where it happens.
    pub(crate) is_mailed: bool,
}

/// When, since when this hub runs, and what counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now<'a> {
    pub(crate) at: DateTime<Utc>,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) settings: &'a Settings,
    pub(crate) data_dir: Option<&'a Path>,
}

/// What is wrong, and what else would have been seen: of the rest it is not known now.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) findings: Vec<Finding>,
    /// Kinds that were looked at whole, or at one subject of theirs.
    known: Vec<(&'static Kind, Option<String>)>,
}

impl Seen {
    fn add(&mut self, kind: &'static Kind, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
        self.known.push((kind, None));
    }

    /// Whether something that is not among the findings is therefore not wrong any more.
    pub(crate) fn would_have_seen(&self, kind: &Kind, subject: &str) -> bool {
        self.known
            .iter()
            .any(|(known, only)| *known == kind && only.as_ref().is_none_or(|only| only == subject))
    }
}

fn finding(kind: &'static Kind, project: Option<Uuid>, subject: String, details: Value) -> Finding {
    Finding { kind, project, subject, details, is_mailed: kind.is_mailed_at_its_source }
}

/// Looks at everything that is on. What is off is known: nothing of it is wrong.
pub(crate) async fn look(conn: &mut PgConnection, now: Now<'_>) -> anyhow::Result<Seen> {
    let mut seen = Seen::default();
    endpoints(conn, now, &mut seen).await?;
    let agents = store::list_agents(conn, now.at - FORGOTTEN).await?;
    silent_agents(&agents, now, &mut seen);
    queues(conn, &agents, now, &mut seen).await?;
    dead_letters(conn, &agents, now, &mut seen).await?;
    providers(conn, now, &mut seen).await?;
    mail(conn, now, &mut seen).await?;
    cases(conn, now, &mut seen).await?;
    database(conn, &mut seen).await?;
    disk(now, &mut seen);
    seen.findings.retain(|finding| now.settings.is_on(finding.kind));
    seen.known.extend(KINDS.iter().filter(|kind| !now.settings.is_on(kind)).map(|kind| (kind, None)));
    Ok(seen)
}

async fn endpoints(conn: &mut PgConnection, now: Now<'_>, seen: &mut Seen) -> anyhow::Result<()> {
    let percent = now.settings.threshold(&kinds::ENDPOINT_FAILING);
    let (mut disabled, mut failing) = (Vec::new(), Vec::new());
    for row in store::list_endpoints(conn).await? {
        let endpoint = EndpointId::from_uuid(row.id).to_string();
        let url = url::Url::parse(&row.url).ok();
        // Without its path: that may hold a token.
        let host = url.as_ref().and_then(url::Url::host_str).unwrap_or("?");
        let mut details = json!({"project_name": row.project_name, "endpoint_id": endpoint, "host": host});
        if row.disabled_at.is_some() {
            details["reason"] = row.disabled_reason.into();
            let kind = &kinds::ENDPOINT_DISABLED;
            disabled.push(finding(kind, Some(row.project_id), endpoint, details));
        } else if i32::from(row.alerted_percent) >= percent {
            details["failing_since"] = row.failing_since.map(trastienda_protocol::time::format).into();
            details["percent"] = row.alerted_percent.into();
            let kind = &kinds::ENDPOINT_FAILING;
            failing.push(finding(kind, Some(row.project_id), endpoint, details));
        }
    }
    seen.add(&kinds::ENDPOINT_DISABLED, disabled);
    seen.add(&kinds::ENDPOINT_FAILING, failing);
    Ok(())
}

fn agent_subject(agent: &AgentSeen) -> String {
    format!("agent:{}:{}", agent.project_id.as_simple(), agent.agent_id)
}

/// An agent that was silent while the hub itself was away is given its time to report again.
fn silent_agents(agents: &[AgentSeen], now: Now<'_>, seen: &mut Seen) {
    let limit = TimeDelta::seconds(now.settings.threshold(&kinds::AGENT_SILENT).into());
    if now.at - now.started_at < limit {
        return;
    }
    let silent = agents.iter().filter(|agent| now.at - agent.seen_at > limit).map(|agent| {
        let details = json!({
            "project_name": agent.project_name, "agent_id": agent.agent_id,
            "seen_at": trastienda_protocol::time::format(agent.seen_at),
        });
        finding(&kinds::AGENT_SILENT, Some(agent.project_id), agent_subject(agent), details)
    });
    seen.add(&kinds::AGENT_SILENT, silent);
}

async fn queues(
    conn: &mut PgConnection,
    agents: &[AgentSeen],
    now: Now<'_>,
    seen: &mut Seen,
) -> anyhow::Result<()> {
    let limit = i64::from(now.settings.threshold(&kinds::QUEUE_OLD));
    let mut old = Vec::new();
    for queue in gauges::list_queues(conn, now.at).await? {
        if queue.age_seconds(now.at) > limit {
            let details =
                json!({"queue": queue.name, "due": queue.due, "seconds": rounded(queue.age_seconds(now.at))});
            old.push(finding(&kinds::QUEUE_OLD, None, format!("queue:{}", queue.name), details));
        }
    }
    for agent in agents {
        let number = |name: &str| agent.status[name].as_i64().unwrap_or(0);
        // What it says now, not what it once said; that it is silent is another alert.
        let is_fresh = now.at - agent.seen_at < TimeDelta::minutes(3);
        if is_fresh && number("buffered") > 0 && number("oldest_seconds") > limit {
            let details = json!({
                "project_name": agent.project_name, "agent_id": agent.agent_id, "due": number("buffered"),
                "seconds": rounded(number("oldest_seconds")),
            });
            old.push(finding(&kinds::QUEUE_OLD, Some(agent.project_id), agent_subject(agent), details));
        }
    }
    seen.add(&kinds::QUEUE_OLD, old);
    Ok(())
}

/// To the minute: what grows by itself is not written down at every look.
fn rounded(seconds: i64) -> i64 {
    seconds / 60 * 60
}

async fn dead_letters(
    conn: &mut PgConnection,
    agents: &[AgentSeen],
    now: Now<'_>,
    seen: &mut Seen,
) -> anyhow::Result<()> {
    let mut dead = Vec::new();
    for row in store::list_refused(conn, now.at - REFUSALS).await? {
        let details = json!({
            "project_name": row.project_name, "events": row.events, "notifications": row.notifications,
        });
        let subject = format!("project:{}", row.project_id.as_simple());
        let found = finding(&kinds::DEAD_LETTERS, Some(row.project_id), subject, details);
        // The first of a day is told by mail with what exactly, in the transaction that records it.
        dead.push(Finding { is_mailed: true, ..found });
    }
    for agent in agents {
        let count = agent.status["dead_letters"].as_i64().unwrap_or(0);
        if count > 0 {
            let details =
                json!({"project_name": agent.project_name, "agent_id": agent.agent_id, "count": count});
            dead.push(finding(&kinds::DEAD_LETTERS, Some(agent.project_id), agent_subject(agent), details));
        }
    }
    seen.add(&kinds::DEAD_LETTERS, dead);
    Ok(())
}

async fn providers(conn: &mut PgConnection, now: Now<'_>, seen: &mut Seen) -> anyhow::Result<()> {
    let limit = TimeDelta::seconds(now.settings.threshold(&kinds::PROVIDER_FAILING).into());
    let rows = store::list_providers(conn, now.at - limit).await?;
    let failing = rows.into_iter().map(|row| {
        let details = json!({
            "project_name": row.project_name, "provider": row.provider, "failure": row.failure,
            "failing_since": trastienda_protocol::time::format(row.failing_since),
        });
        let subject = format!("{}:{}", row.project_id.as_simple(), row.provider);
        finding(&kinds::PROVIDER_FAILING, Some(row.project_id), subject, details)
    });
    seen.add(&kinds::PROVIDER_FAILING, failing);
    Ok(())
}

async fn mail(conn: &mut PgConnection, now: Now<'_>, seen: &mut Seen) -> anyhow::Result<()> {
    let failures = now.settings.threshold(&kinds::MAIL_ACCOUNT_FAILING);
    let mut rows = store::list_failing_accounts(conn, failures).await?;
    rows.extend(store::list_failing_servers(conn, now.at - MAILS, failures).await?);
    let failing = rows.into_iter().map(|row| {
        let account = row.project_id.and(row.subject.parse().ok()).map(SmtpAccountId::from_uuid);
        let details = json!({
            "project_name": row.project_name, "account_id": account, "name": row.name, "failures": row.failures,
        });
        finding(&kinds::MAIL_ACCOUNT_FAILING, row.project_id, row.subject, details)
    });
    seen.add(&kinds::MAIL_ACCOUNT_FAILING, failing);
    Ok(())
}

async fn cases(conn: &mut PgConnection, now: Now<'_>, seen: &mut Seen) -> anyhow::Result<()> {
    if !now.settings.is_on(&kinds::CASE_OPEN) {
        return Ok(());
    }
    let rows = store::list_open_cases(conn, CASES_MAX).await?;
    let is_all = rows.len() < usize::try_from(CASES_MAX).unwrap_or(0);
    let open = rows.into_iter().map(|row| {
        let id = CaseId::from_uuid(row.id).to_string();
        let details = json!({
            "project_name": row.project_name, "case_id": id, "case_kind": row.kind, "order_id": row.order_id,
        });
        finding(&kinds::CASE_OPEN, Some(row.project_id), id, details)
    });
    if is_all {
        seen.add(&kinds::CASE_OPEN, open);
    } else {
        seen.findings.extend(open);
    }
    Ok(())
}

async fn database(conn: &mut PgConnection, seen: &mut Seen) -> anyhow::Result<()> {
    let strain = store::get_strain(conn).await?;
    let mut troubles = Vec::new();
    let percent = strain.connections * 100 / strain.connections_max.max(1);
    if percent >= CONNECTIONS_PERCENT {
        let details = json!({"what": "connections", "percent": percent});
        troubles.push(finding(&kinds::DATABASE_TROUBLE, None, STRAINS[0].to_owned(), details));
    }
    if strain.oldest_age >= AGE_MAX {
        let details = json!({"what": "wraparound", "millions": strain.oldest_age / 1_000_000});
        troubles.push(finding(&kinds::DATABASE_TROUBLE, None, STRAINS[1].to_owned(), details));
    }
    seen.findings.extend(troubles);
    seen.known.extend(STRAINS.map(|subject| (&kinds::DATABASE_TROUBLE, Some(subject.to_owned()))));
    Ok(())
}

fn disk(now: Now<'_>, seen: &mut Seen) {
    if let Some(free) = now.data_dir.and_then(free_percent) {
        free_of_disk(free, now.settings.threshold(&kinds::DISK_FULL).into(), seen);
    }
}

/// So much of the disk is free, and so much is to be, in percent.
fn free_of_disk(free: i64, least: i64, seen: &mut Seen) {
    let is_full = free < least;
    // Each hub has a disk of its own, and each looks at its own.
    let subject = format!("disk:{}", host());
    let details = json!({"host": host(), "percent": free});
    seen.known.push((&kinds::DISK_FULL, Some(subject.clone())));
    seen.findings.extend(is_full.then(|| finding(&kinds::DISK_FULL, None, subject, details)));
}

/// How much of the disk under a directory is free for us, in percent; nothing where there is no such directory.
fn free_percent(directory: &Path) -> Option<i64> {
    let disk = rustix::fs::statvfs(directory).ok().filter(|disk| disk.f_blocks > 0)?;
    i64::try_from(u128::from(disk.f_bavail) * 100 / u128::from(disk.f_blocks)).ok()
}

/// This machine's name, for what each hub sees by itself.
pub(crate) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_full_below_its_least_and_known_either_way() {
        for (free, is_full) in [(9, true), (10, false), (100, false), (0, true)] {
            let mut seen = Seen::default();
            free_of_disk(free, 10, &mut seen);
            let found: Vec<_> =
                seen.findings.iter().map(|it| (it.kind.name, it.details["percent"].clone())).collect();
            let expected = is_full.then(|| (kinds::DISK_FULL.name, json!(free)));
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{free}");
            assert!(seen.would_have_seen(&kinds::DISK_FULL, &format!("disk:{}", host())), "{free}");
        }
        let free = free_percent(Path::new("/")).unwrap();
        assert!((0..=100).contains(&free), "{free}");
        assert_eq!(free_percent(Path::new("/no/such/directory")), None);
    }
}
