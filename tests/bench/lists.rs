//! The dashboard's lists over a million rows of each: every list, its searches and its second page, one shop having all.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use e2e::{Directory, Hub, Postgres, Project};
use reqwest::header::{COOKIE, SET_COOKIE};

use crate::report::{quantile, say};

/// Rows of each list.
const ROWS: usize = 1_000_000;
/// What a list may take, in milliseconds.
const GOAL: f64 = 100.0;
/// How often each page is asked for; the first time is not counted.
const TIMES: usize = 15;

/// A `UUIDv7` of the n-th row: a million of them over the last three weeks. The shop is named in place of `$1`.
const ID: &str =
    "(lpad(to_hex((extract(epoch from now() - n * interval '1.8 seconds') * 1000)::bigint), 12, '0') || '7'
    || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid";

/// Fills each table; one row in a thousand is out of the ordinary.
const FILLS: [&str; 7] = [
    "insert into webhook_endpoints (project_id, id, url, events, description, secret_sealed, max_in_flight, ordered, created_at, updated_at)
     select $1, ID, 'https://shop.example.com/' || n, '{\"order.*\"}', '', '', 10, false, now(), now() from generate_series(1, 5) n",
    "insert into events (project_id, id, type, source, status, order_id, data, created_at, problem, fingerprint)
     select $1, ID, (array['order.created', 'order.paid', 'order.shipped', 'note.made'])[n % 4 + 1], 'shop',
            case when n % 1000 = 0 then 'rejected' else 'accepted' end, 'A-' || n / 4, '{\"order_id\": \"A-1\", \"total\": \"100.00\"}',
            now() - n * interval '1.8 seconds', case when n % 1000 = 0 then '{}'::jsonb end, ''
     from generate_series(1, ROWS) n",
    "insert into webhook_deliveries (project_id, id, endpoint_id, event_id, event_type, order_id, status, attempts, is_replay, run_at,
            last_response_code, created_at, finished_at)
     select $1, ID, (select id from webhook_endpoints where project_id = $1 order by id offset n % 5 limit 1), ID,
            (array['order.created', 'order.paid', 'order.shipped', 'note.made'])[n % 4 + 1], 'A-' || n / 4,
            case when n % 1000 = 0 then 'failed' else 'sent' end, 1, false, now(), 200, now() - n * interval '1.8 seconds', now()
     from generate_series(1, ROWS) n",
    "insert into notifications (project_id, id, channel, recipient, payload, template, locale, order_id, metadata, status, detail, attempts,
            run_at, fingerprint, created_at, finished_at)
     select $1, ID, case when n % 10 = 0 then 'whatsapp' else 'email' end, 'c' || n || '@example.com', '{}',
            (array['order_confirmation', 'shipping'])[n % 2 + 1], 'es', 'A-' || n, '{}',
            case when n % 1000 = 1 then 'failed' else 'sent' end, case when n % 1000 = 1 then 'rejected' end, 1, now(), '',
            now() - n * interval '1.8 seconds', now()
     from generate_series(1, ROWS) n",
    "insert into payment_transactions (project_id, id, provider, method, order_id, amount_minor, order_amount_minor, amount_refunded_minor,
            currency, request, metadata, status, provider_key, run_at, attempts, fingerprint, created_at, updated_at, paid_at)
     select $1, ID, case when n % 10 = 0 then 'manual' else 'mercadopago' end, 'checkout', 'A-' || n, 10000, 10000, 0, 'ARS',
            '{\"description\": \"x\", \"payer\": {\"email\": \"c@example.com\"}}', '{}', case when n % 1000 = 0 then 'failed' else 'paid' end, 'k', now(), 1, '',
            now() - n * interval '1.8 seconds', now(), case when n % 1000 <> 0 then now() end
     from generate_series(1, ROWS) n",
    "insert into payment_cases (project_id, id, kind, subject, status, provider, order_id, detail, note, created_at, closed_at)
     select $1, ID, (array['duplicate', 'amount_mismatch'])[n % 2 + 1], n::text, case when n % 1000 = 0 then 'open' else 'closed' end,
            'mercadopago', 'A-' || n, 'd', 'n', now() - n * interval '1.8 seconds', case when n % 1000 <> 0 then now() end
     from generate_series(1, ROWS) n",
    "insert into audit_log (operator, action, project_id, subject, outcome, created_at)
     select 'ana', 'events.reveal', $1, 'evt_' || n, 'ok', now() - n * interval '1.8 seconds' from generate_series(1, ROWS) n",
];

/// Lists and searches, by what comes after the shop's address; a list's second page is asked for as well.
const PAGES: [&str; 29] = [
    "",
    "/events",
    "/events?type=order.paid",
    "/events?order_id=A-12345",
    "/events?status=rejected",
    "/events?type=no.such",
    "/deliveries",
    "/deliveries?status=failed",
    "/deliveries?status=pending",
    "/deliveries?event_type=order.paid",
    "/deliveries?order_id=A-12345&status=failed",
    "/deliveries?order_id=A-12345",
    "/endpoints",
    "/notifications",
    "/notifications?status=failed",
    "/notifications?status=pending",
    "/notifications?channel=whatsapp",
    "/notifications?to=c12345@example.com",
    "/notifications?template=shipping",
    "/notifications?order_id=A-12345",
    "/whatsapp",
    "/payments",
    "/payments?status=failed",
    "/payments?status=pending",
    "/payments?provider=manual",
    "/payments?order_id=A-12345",
    "/cases?status=open",
    "/cases?kind=duplicate",
    "/audit",
];

pub(crate) async fn measure(part: usize) -> anyhow::Result<()> {
    let rows = ROWS / part;
    let directory = Directory::new()?;
    let postgres = Postgres::start(&directory).await?;
    let hub = Hub::start_sharing(&directory, "hub", postgres.url(None)).await?;
    let project = hub.create_project("Mate y Compañía", "mates.example.com").await?;
    let begun = Instant::now();
    fill(&postgres, &project, rows).await?;
    say(&format!(
        "lists of {rows} rows each, one shop's, filled in {:.0} s; milliseconds, median and worst\n",
        begun.elapsed().as_secs_f64()
    ));
    let browser = Browser::logged_in(&hub).await?;
    let mut worst: f64 = 0.0;
    let mut refused = Vec::new();
    for page in PAGES {
        let path = format!("/shops/{}{page}", project.id);
        match time_with_next(&browser, &path, page).await {
            Ok(median) => worst = worst.max(median),
            // The others are timed all the same.
            Err(error) => refused.push(format!("{error:#}")),
        }
    }
    worst = worst.max(time(&browser, "/", "every shop").await?);
    ensure!(refused.is_empty(), "{}", refused.join("\n"));
    let verdict = if worst < GOAL { "all" } else { "not all" };
    say(&format!("\n{verdict} medians are under {GOAL} ms; the slowest is {worst:.1} ms"));
    hub.stop().await
}

async fn fill(postgres: &Postgres, project: &Project, rows: usize) -> anyhow::Result<()> {
    let shop = project.id.strip_prefix("prj_").context("no project id")?;
    for statement in FILLS {
        let statement = statement
            .replace("ROWS", &rows.to_string())
            .replace("ID", ID)
            .replace("$1", &format!("'{shop}'::uuid"));
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&postgres.pool).await?;
    }
    // As autovacuum would have.
    sqlx::raw_sql("vacuum analyze").execute(&postgres.pool).await?;
    Ok(())
}

/// The address of a list's next page, out of its last link.
fn next_page(body: &str) -> Option<String> {
    let pager = body.split(r#"class="pager""#).nth(1)?;
    let link = pager.split(r#"href=""#).nth(1)?.split('"').next()?;
    let link = link.replace("&#x2f;", "/").replace("&amp;", "&").replace("&#x3d;", "=");
    // The audit log's is relative to it.
    (!link.starts_with('?')).then_some(link)
}

/// A page and, if it has one, its next: the slower median.
async fn time_with_next(browser: &Browser, path: &str, name: &str) -> anyhow::Result<f64> {
    let body = browser.get(path).await?;
    let median = time(browser, path, name).await?;
    match next_page(&body) {
        Some(next) => Ok(median.max(time(browser, &next, &format!("{name} … next")).await?)),
        None => Ok(median),
    }
}

/// The median, in milliseconds.
async fn time(browser: &Browser, path: &str, name: &str) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..=TIMES {
        let begun = Instant::now();
        browser.get(path).await?;
        times.push(begun.elapsed().as_secs_f64() * 1_000.0);
    }
    times.remove(0);
    let (median, most) = (quantile(&mut times, 0.5), quantile(&mut times, 1.0));
    say(&format!("  {name:<45} {median:>8.1} {most:>8.1}"));
    Ok(median)
}

struct Browser {
    client: reqwest::Client,
    url: String,
    cookie: String,
}

impl Browser {
    async fn logged_in(hub: &Hub) -> anyhow::Result<Self> {
        let client = e2e::client()?;
        let form = format!("name=&to=%2F&secret={}", hub.admin_token());
        let login = client.post(format!("{}/login", hub.url)).body(form);
        let answer = login.header("content-type", "application/x-www-form-urlencoded").send().await?;
        let cookie = answer.headers().get(SET_COOKIE).context("not logged in")?.to_str()?;
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok(Self { client, url: hub.url.clone(), cookie })
    }

    async fn get(&self, path: &str) -> anyhow::Result<String> {
        let answer =
            self.client.get(format!("{}{path}", self.url)).header(COOKIE, &self.cookie).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{path} answers {status}");
        Ok(text)
    }
}
