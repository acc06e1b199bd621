//! The frame around every page, and the escaping.

use std::fmt::{self, Display, Write as _};

use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use axum::http::{HeaderName, StatusCode};
use axum::response::{Html, IntoResponse, Response};

/// Writes a text so that HTML takes it for nothing but text, in an attribute as well.
pub(super) struct Esc<T>(pub(super) T);

impl<T: Display> Display for Esc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string().chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

const HEADERS: [(HeaderName, &str); 2] = [
    (CACHE_CONTROL, "no-store"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'",
    ),
];

/// A whole page. `body` is HTML, the title is text.
pub(super) fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let title = Esc(title);
    let html = format!(
        "<!doctype html>\n<html lang=\"es\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <header><strong>Simulador de pagos</strong><span>Nada de esto mueve dinero real.</span></header>\n\
         <main>\n{body}\n</main>\n</body>\n</html>\n"
    );
    (status, HEADERS, Html(html)).into_response()
}

/// A page that only says something.
pub(super) fn message(status: StatusCode, title: &str, text: &str) -> Response {
    page(status, title, &format!("<section><h1>{}</h1><p>{}</p></section>", Esc(title), Esc(text)))
}

/// A status as people call it, and the colour it goes by.
pub(super) fn status_badge(status: &str) -> String {
    let (class, label) = match status {
        "approved" => ("good", "Aprobado"),
        "authorized" => ("wait", "Autorizado"),
        "pending" => ("wait", "Pendiente"),
        "in_process" => ("wait", "En revisión"),
        "in_mediation" => ("bad", "En mediación"),
        "rejected" => ("bad", "Rechazado"),
        "cancelled" => ("bad", "Cancelado"),
        "refunded" => ("calm", "Devuelto"),
        "charged_back" => ("bad", "Contracargo"),
        other => ("calm", other),
    };
    format!("<span class=\"badge {class}\">{}</span>", Esc(label))
}

const STYLE: &str = "\
:root{--ink:#1d2b3a;--soft:#66788a;--line:#dfe5ec;--blue:#1769d2;--page:#f4f6f9}\
*{box-sizing:border-box}\
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif}\
header{display:flex;gap:1rem;align-items:baseline;flex-wrap:wrap;padding:.9rem 1.5rem;background:#fff;border-bottom:1px solid var(--line)}\
header span{color:var(--soft);font-size:.85rem}\
main{max-width:34rem;margin:2rem auto;padding:0 1rem}\
main:has(table.list){max-width:72rem}\
section{background:#fff;border:1px solid var(--line);border-radius:12px;padding:1.5rem}\
h1{font-size:1.25rem;margin:0 0 1rem}\
table{width:100%;border-collapse:collapse}\
td,th{padding:.5rem .4rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}\
th{font-size:.8rem;color:var(--soft);font-weight:600}\
.sum{text-align:right;white-space:nowrap}\
.total td{border:0;font-weight:700;font-size:1.1rem}\
.scroll{overflow-x:auto}\
fieldset{border:1px solid var(--line);border-radius:8px;margin:1.25rem 0;padding:.75rem 1rem}\
legend{color:var(--soft);font-size:.85rem;padding:0 .4rem}\
label{display:block;padding:.2rem 0}\
button,a.button{display:inline-block;font:inherit;padding:.55rem 1rem;border-radius:8px;border:1px solid var(--line);background:#fff;color:var(--ink);cursor:pointer;text-decoration:none}\
button.main,a.main{background:var(--blue);border-color:var(--blue);color:#fff}\
button.small{padding:.15rem .5rem;font-size:.8rem;margin:.1rem}\
button:focus-visible,a:focus-visible,input:focus-visible{outline:3px solid #9cc3f5;outline-offset:1px}\
.row{display:flex;gap:.6rem;flex-wrap:wrap}\
form.inline{display:inline}\
.soft{color:var(--soft);font-size:.85rem}\
code{font-size:.85em;overflow-wrap:anywhere}\
.badge{display:inline-block;padding:.05rem .55rem;border-radius:99px;font-size:.8rem;background:#e8edf3}\
.good{background:#d9f2e1;color:#0d5c2b}.wait{background:#fdf0cf;color:#6b4a00}.bad{background:#fbdedd;color:#8a1c16}\
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_no_way_out_of_a_text() {
        let written = Esc("<a href='x'>\"&\"</a>").to_string();
        assert_eq!(written, "&lt;a href=&#39;x&#39;&gt;&quot;&amp;&quot;&lt;/a&gt;");
    }
}
