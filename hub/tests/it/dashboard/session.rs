//! Who gets in, and what keeps others out.

use serde_json::json;
use sqlx::PgPool;

use super::{Browser, audit, location, text};
use crate::support::{ADMIN_TOKEN, TestApp};

/// Every page there is, of a shop and above.
fn pages(project: &str) -> Vec<String> {
    let mut pages: Vec<String> =
        ["/", "/charts", "/alerts", "/audit", "/account"].iter().map(|page| (*page).to_owned()).collect();
    for page in [
        "",
        "/events",
        "/deliveries",
        "/endpoints",
        "/notifications",
        "/whatsapp",
        "/payments",
        "/cases",
        "/templates",
        "/saved",
        "/settings",
        "/audit",
        "/templates/order_confirmation",
    ] {
        pages.push(format!("/shops/{project}{page}"));
    }
    pages
}

#[sqlx::test(migrations = "../migrations")]
async fn nobody_sees_a_page_without_a_session_and_every_page_opens_with_one(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    let (project, _) = test.project().await;
    let stranger = Browser::new(&test);
    let forged = Browser { test: &test, cookie: format!("trastienda_session={}", "a".repeat(64)) };
    let operator = Browser::logged_in(&test).await;
    for page in pages(&project) {
        for browser in [&stranger, &forged] {
            let answer = browser.get(&page).await;
            assert_eq!((answer.status.as_u16(), &location(&answer)[..7]), (303, "/login?"), "{page}");
        }
        let answer = operator.get(&page).await;
        assert_eq!(answer.status, 200, "{page}: {answer:?}");
        let header =
            |name: &str| answer.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default();
        assert!(header("content-security-policy").contains("script-src 'self'; style-src 'self'"), "{page}");
        assert!(header("content-security-policy").contains("frame-ancestors 'none'"), "{page}");
        assert_eq!(
            [header("x-frame-options"), header("cache-control"), header("x-content-type-options")],
            ["DENY", "no-store", "nosniff"]
        );
        assert_eq!(header("strict-transport-security"), "", "only behind TLS");
        // Whatever a page has, it has no script of its own and no handler.
        let page_text = text(&answer);
        assert_eq!(
            page_text.matches("<script").count(),
            page_text.matches("<script src=\"/assets/").count(),
            "{page}"
        );
        assert!(!page_text.contains(" onclick=\"") && !page_text.contains(" style=\""), "{page}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn there_is_no_dashboard_without_an_admin_token(pool: PgPool) {
    let test = TestApp::with(pool, |config| config.admin_token = None).await;
    for page in ["/", "/login", "/account"] {
        assert_eq!(Browser::new(&test).get(page).await.status, 404, "{page}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_session_is_a_digest_and_its_cookie_is_kept_from_scripts_and_other_sites(pool: PgPool) {
    let test = TestApp::with(pool, |config| config.public_url = "https://hub.test".parse().unwrap()).await;
    let mut browser = Browser::new(&test);
    let answer = browser.log_in("", ADMIN_TOKEN).await;
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    for part in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(answer.headers["strict-transport-security"].to_str().unwrap().starts_with("max-age="));
    let secret = browser.cookie.split('=').nth(1).unwrap();
    let stored: Vec<u8> = sqlx::query_scalar("select token_digest from dashboard_sessions")
        .fetch_one(&test.app.db)
        .await
        .unwrap();
    assert_eq!((secret.len(), stored.len()), (64, 32));
    assert_ne!(hex(&stored), secret);
}

fn hex(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

#[sqlx::test(migrations = "../migrations")]
async fn a_password_opens_what_its_name_says_and_ends_with_its_operator(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    let admin = Browser::logged_in(&test).await;
    let password = "una frase bastante larga";
    assert_eq!(admin.post("/account/operators", &[("name", "ana"), ("password", "corta")]).await.status, 422);
    assert_eq!(
        admin.post("/account/operators", &[("name", "ana"), ("password", password)]).await.status,
        303
    );
    let hash: String =
        sqlx::query_scalar("select password_hash from operators").fetch_one(&test.app.db).await.unwrap();
    assert!(hash.starts_with("$argon2id$") && !hash.contains(password));
    let mut ana = Browser::new(&test);
    assert_eq!(ana.log_in("ana", "otra frase bastante larga").await.status, 401);
    assert_eq!(ana.log_in("ana", password).await.status, 303);
    assert!(ana.page("/").await.contains("(ana)"));
    assert_eq!(admin.post("/account/operators/ana/delete", &[]).await.status, 303);
    assert_eq!(ana.get("/").await.status, 303);
    assert_eq!(ana.log_in("ana", password).await.status, 401);
}

#[sqlx::test(migrations = "../migrations")]
async fn logging_out_ends_one_session_and_everywhere_ends_all(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    let (one, two, three) =
        (Browser::logged_in(&test).await, Browser::logged_in(&test).await, Browser::logged_in(&test).await);
    assert_eq!(location(&one.post("/logout", &[]).await), "/login");
    assert_eq!([one.get("/").await.status, two.get("/").await.status], [303, 200]);
    assert_eq!(two.post("/account/log-out-everywhere", &[]).await.status, 303);
    assert_eq!([two.get("/").await.status, three.get("/").await.status], [303, 303]);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_session_ends_when_it_is_not_used_and_after_a_week_in_any_case(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    let browser = Browser::logged_in(&test).await;
    for _ in 0..13 {
        test.clock.advance(chrono::TimeDelta::hours(11));
        assert_eq!(browser.get("/").await.status, 200);
    }
    test.clock.advance(chrono::TimeDelta::hours(11));
    test.clock.advance(chrono::TimeDelta::hours(11));
    assert_eq!(browser.get("/").await.status, 303);
    let week = Browser::logged_in(&test).await;
    for _ in 0..16 {
        test.clock.advance(chrono::TimeDelta::hours(11));
        week.get("/").await;
    }
    assert_eq!(week.get("/").await.status, 303);
}

#[sqlx::test(migrations = "../migrations")]
async fn wrong_tries_are_noted_and_after_ten_nobody_is_asked(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    let mut browser = Browser::new(&test);
    for _ in 0..10 {
        assert_eq!(browser.log_in("", "wrong-token-of-at-least-32-characters").await.status, 401);
    }
    let refused = browser.log_in("", ADMIN_TOKEN).await;
    assert_eq!(refused.status, 429);
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(audit(&test).await.len(), 10, "what is throttled is not written down any more");
    test.clock.advance(chrono::TimeDelta::minutes(6));
    assert_eq!(browser.log_in("", ADMIN_TOKEN).await.status, 303);
    assert_eq!(audit(&test).await[0].1, "session.opened");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_form_without_its_token_or_from_another_site_changes_nothing(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    let (project, _) = test.project().await;
    let browser = Browser::logged_in(&test).await;
    let other = Browser::logged_in(&test).await;
    let path = format!("/shops/{project}/settings/project");
    let fields = [("is_active", "no")];
    let csrf = browser.csrf().await;
    let foreign = other.csrf().await;
    let with = |token: &'static str| [fields[0], ("csrf", token)];
    let mut refused =
        vec![browser.send(&path, &fields, &[]).await, browser.send(&path, &with("x"), &[]).await];
    refused.push(browser.send(&path, &[fields[0], ("csrf", &foreign)], &[]).await);
    let right = [fields[0], ("csrf", csrf.as_str())];
    for headers in
        [("origin", "https://evil.example.com"), ("sec-fetch-site", "cross-site"), ("origin", "null")]
    {
        refused.push(browser.send(&path, &right, &[headers]).await);
    }
    for answer in refused {
        assert_eq!(answer.status, 403, "{answer:?}");
    }
    let shown = test.admin("GET", &format!("/admin/v1/projects/{project}"), json!({})).await;
    assert_eq!(shown.body["is_active"], true);
    assert_eq!(browser.send(&path, &right, &[("origin", "http://hub.test")]).await.status, 303);
    let shown = test.admin("GET", &format!("/admin/v1/projects/{project}"), json!({})).await;
    assert_eq!(shown.body["is_active"], false);
}

#[sqlx::test(migrations = "../migrations")]
async fn after_logging_in_nobody_is_sent_elsewhere(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    for to in
        ["https://evil.example.com/", "//evil.example.com", "/\\evil.example.com", "javascript:alert(1)"]
    {
        let body = super::form(&[("secret", ADMIN_TOKEN), ("to", to)]);
        let answer = test.send("POST", "/login", &[super::FORM], body).await;
        assert_eq!(location(&answer), "/", "{to}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_stranger_s_form_is_small(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    for path in ["/login", "/preferences"] {
        let body = super::form(&[("secret", &"x".repeat(20 * 1024))]);
        let answer = test.send("POST", path, &[super::FORM], body).await;
        assert_eq!(answer.status, 413, "{path}: {answer:?}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn pages_are_spanish_first_and_english_when_asked_for(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    let login = async |headers: Vec<(&'static str, &'static str)>| {
        text(&test.send("GET", "/login", &headers, "").await)
    };
    let spanish = login(vec![]).await;
    assert!(spanish.contains(r#"lang="es""#) && spanish.contains("Entrar a la trastienda"));
    for headers in [vec![("accept-language", "en-GB,en;q=0.9")], vec![("cookie", "trastienda_lang=en")]] {
        let english = login(headers).await;
        assert!(english.contains(r#"<html lang="en""#) && english.contains("Into the back room"));
    }
    assert!(login(vec![("cookie", "trastienda_theme=dark")]).await.contains(r#"data-theme="dark""#));
    let chosen = test
        .send("POST", "/preferences", &[super::FORM], super::form(&[("theme", "dark"), ("to", "/login")]))
        .await;
    assert!(chosen.headers["set-cookie"].to_str().unwrap().starts_with("trastienda_theme=dark;"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_frame_without_an_origin_may_load_the_style_sheet(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let style = Browser::new(&test).get("/assets/dashboard.css").await;
    assert_eq!(style.status, 200);
    assert_eq!(style.headers["cross-origin-resource-policy"], "cross-origin");
    let page = Browser::new(&test).get("/login").await;
    assert_eq!(page.headers["cross-origin-resource-policy"], "same-origin");
}
