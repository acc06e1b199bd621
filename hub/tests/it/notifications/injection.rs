//! What is put into a field of the API stays in its field: no header, no recipient and no second mail comes of it.

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{settled, with_mail};

/// Each would begin a header, a recipient or a mail of its own where a line break got through.
const NASTY: [&str; 6] = [
    "a@example.com\r\nBcc: victim@example.com",
    "x\nBcc: victim@example.com\n\nbody",
    "x\rBcc: victim@example.com",
    "x\u{85}Bcc: victim@example.com\u{2028}Bcc: victim@example.com",
    "a@example.com>\r\nRCPT TO:<victim@example.com>",
    "x\r\n.\r\nMAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.com>\r\nDATA",
];

/// Every field that a caller may fill with text.
const FIELDS: [&str; 15] = [
    "/to",
    "/from",
    "/reply_to",
    "/subject",
    "/list_unsubscribe",
    "/attachments/0/filename",
    "/attachments/0/content_type",
    "/attachments/0/content_id",
    "/order_id",
    "/metadata/note",
    "/locale",
    "/text",
    "/html",
    "/send_at",
    "/id",
];

fn whole() -> Value {
    json!({
        "channel": "email", "to": "ana@example.com", "from": "Mates <ventas@mates.example.com>", "reply_to": "ventas@mates.example.com",
        "subject": "Hola", "html": "<p>Hola</p>", "text": "Hola", "list_unsubscribe": "https://mates.example.com/baja",
        "order_id": "A-1", "metadata": {"note": "x"},
        "attachments": [{"filename": "f.txt", "content_type": "text/plain", "content": "cGFnYWRv", "content_id": "f"}],
    })
}

/// The names of the headers of the mail and of its parts.
fn headers(mail: &str) -> Vec<String> {
    let names = mail.lines().filter(|line| !line.starts_with([' ', '\t']));
    names.filter_map(|line| Some(line.split_once(':')?.0.to_ascii_lowercase())).collect()
}

fn head(mail: &str) -> &str {
    mail.split_once("\n\n").unwrap().0
}

#[sqlx::test(migrations = "../migrations")]
async fn no_field_of_the_api_begins_a_header_or_names_another_recipient(pool: PgPool) {
    let (test, smtp, key) = with_mail(pool).await;
    let (mut taken, mut refused) = (0, 0);
    for field in FIELDS {
        for nasty in NASTY {
            let mut body = whole();
            let (parent, name) = field.rsplit_once('/').unwrap();
            body.pointer_mut(parent).unwrap()[name] = nasty.into();
            let answer = test.post(&key, "/v1/notifications", body).await;
            if answer.status == 422 {
                refused += 1;
                continue;
            }
            taken += 1;
            settled(&test, &key, &answer.id(), "sent").await;
            let mails = smtp.mails();
            assert_eq!(mails.len(), taken, "{field} {nasty:?}");
            let mail = mails.last().unwrap();
            let names = headers(head(mail));
            assert!(!names.contains(&"bcc".to_owned()), "{field} {nasty:?}: {mail}");
            for once in ["from", "to", "subject", "message-id", "reply-to", "content-type"] {
                assert_eq!(
                    names.iter().filter(|name| *name == once).count(),
                    1,
                    "{once} {field} {nasty:?}: {mail}"
                );
            }
            // Only what is the text itself may say it, as text.
            if !matches!(field, "/text" | "/html") {
                assert!(!headers(mail).contains(&"bcc".to_owned()), "{field} {nasty:?}: {mail}");
            }
        }
    }
    assert!(taken >= 12 && refused >= 60, "{taken} taken, {refused} refused");
    let recipients = smtp.recipients();
    assert!(recipients.iter().all(|to| to == "<ana@example.com>"), "{recipients:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn no_variable_of_a_template_and_no_name_of_a_shop_begins_a_header(pool: PgPool) {
    let (test, smtp, key) = with_mail(pool).await;
    let project = test.get(&key, "/v1/project").await.id();
    let template = json!({"channel": "email", "subject": "{{ v }} {{ shop.name }}", "text": "{{ v }}", "html": "<p>{{ v }}</p>", "sample": {"v": "x"}});
    let made = test.send("PUT", "/v1/templates/t", &[("x-api-key", &key)], template.to_string()).await;
    assert_eq!(made.body["active"], true, "{made:?}");
    for nasty in NASTY {
        // A name of more than one line is refused; what is taken stays on its line.
        test.admin("PATCH", &format!("/admin/v1/projects/{project}"), json!({"name": nasty})).await;
        let body =
            json!({"channel": "email", "to": "ana@example.com", "template": "t", "data": {"v": nasty}});
        let id = test.post(&key, "/v1/notifications", body).await.id();
        settled(&test, &key, &id, "sent").await;
        let mails = smtp.mails();
        let names = headers(head(mails.last().unwrap()));
        assert!(!names.contains(&"bcc".to_owned()), "{nasty:?}: {mails:?}");
        assert_eq!(names.iter().filter(|name| *name == "subject").count(), 1);
    }
    assert!(smtp.recipients().iter().all(|to| to == "<ana@example.com>"));
    assert_eq!(smtp.mails().len(), NASTY.len());
}
