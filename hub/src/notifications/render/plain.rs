//! The plain-text part, made from the HTML when a template has none.
//!
//! A small reader of its own: what comes out is text for people, so a tag that it does not understand costs a
//! line break at worst, and a whole HTML parser would be the largest dependency of the hub.

/// What separates blocks.
const BLOCKS: &[&str] = &[
    "p",
    "div",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "table",
    "ul",
    "ol",
    "blockquote",
    "section",
    "header",
    "footer",
];
/// What ends a line.
const LINES: &[&str] = &["br", "tr", "li", "hr"];
/// What nobody reads.
const SILENT: &[&str] = &["style", "script", "head", "title", "template"];

/// The text of an HTML document: a blank line between blocks, `- ` before list items, links with their address.
pub(crate) fn text_of_html(html: &str) -> String {
    let mut out = Text::default();
    let mut rest = html;
    let mut link: Option<(String, usize)> = None;
    while let Some(start) = rest.find('<') {
        out.push(&decode(&rest[..start]));
        rest = &rest[start..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let tag = Tag::read(rest);
        rest = &rest[tag.length..];
        if tag.is_hidden && !tag.closes {
            rest = after_whole(rest, &tag.name);
        } else if SILENT.contains(&tag.name.as_str()) && !tag.closes {
            rest = after_end(rest, &tag.name);
        } else if BLOCKS.contains(&tag.name.as_str()) {
            out.end_block();
        } else if LINES.contains(&tag.name.as_str()) {
            // `<li>` begins a line, `</li>` and `</tr>` end one.
            if tag.name == "br" || tag.closes || tag.name == "li" {
                out.end_line();
            }
            if tag.name == "li" && !tag.closes {
                out.push("- ");
            }
        } else if matches!(tag.name.as_str(), "td" | "th") && tag.closes {
            out.push(" ");
        } else if tag.name == "a" {
            if tag.closes {
                if let Some((address, start)) = link.take() {
                    out.push_address(&address, start);
                }
            } else {
                link = tag.href.map(|href| (href, out.done.len() + out.line.len()));
            }
        }
    }
    out.push(&decode(rest));
    out.finish()
}

struct Tag {
    name: String,
    closes: bool,
    href: Option<String>,
    /// What is not shown, as the line that an inbox shows beside the subject.
    is_hidden: bool,
    length: usize,
}

impl Tag {
    /// Reads the tag at the start of the text; a `>` in a quoted attribute does not end it.
    fn read(text: &str) -> Self {
        let mut quote = None;
        let end = text.char_indices().find(|(_, c)| match (quote, c) {
            (None, '>') => true,
            (None, '"' | '\'') => {
                quote = Some(*c);
                false
            }
            (Some(open), c) if open == *c => {
                quote = None;
                false
            }
            _ => false,
        });
        let end = end.map_or(text.len(), |(at, _)| at);
        let inner = text.get(1..end).unwrap_or_default();
        let (closes, inner) = inner.strip_prefix('/').map_or((false, inner), |inner| (true, inner));
        let name: String = inner.chars().take_while(char::is_ascii_alphanumeric).collect();
        let style = attribute(inner, "style").unwrap_or_default().to_ascii_lowercase().replace(' ', "");
        Self {
            is_hidden: style.contains("display:none") && !inner.ends_with('/') && name != "img",
            name: name.to_ascii_lowercase(),
            closes,
            href: attribute(inner, "href").map(|value| decode(&value)),
            length: (end + 1).min(text.len()),
        }
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let at = tag.to_ascii_lowercase().find(&format!(" {name}="))?;
    let value = tag.get(at + name.len() + 2..)?;
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    match quote {
        Some(quote) => value[1..].split(quote).next().map(str::to_owned),
        None => value.split_whitespace().next().map(str::to_owned),
    }
}

/// Behind the end of an element that may hold others of its name.
fn after_whole<'a>(mut rest: &'a str, name: &str) -> &'a str {
    let mut depth = 1;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let tag = Tag::read(rest);
        rest = &rest[tag.length.max(1)..];
        if tag.name == name {
            depth = if tag.closes { depth - 1 } else { depth + 1 };
        }
        if depth == 0 {
            return rest;
        }
    }
    ""
}

fn after_end<'a>(rest: &'a str, name: &str) -> &'a str {
    let mut rest = rest;
    while let Some(at) = rest.find("</") {
        rest = &rest[at + 2..];
        if rest.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)) {
            return rest.split_once('>').map_or("", |(_, after)| after);
        }
    }
    ""
}

fn decode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        // Entities are short; looking no further keeps the work proportional to the text.
        let end = rest.bytes().take(11).position(|b| b == b';');
        let entity = end.map(|end| (&rest[1..end], end + 1));
        if let Some((c, length)) = entity.and_then(|(name, length)| Some((character(name)?, length))) {
            out.push(c);
            rest = &rest[length..];
        } else {
            out.push('&');
            rest = &rest[1..];
        }
    }
    out + rest
}

fn character(entity: &str) -> Option<char> {
    if let Some(number) = entity.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|c| !c.is_control() || c.is_whitespace());
    }
    Some(match entity {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        "aacute" => 'á',
        "eacute" => 'é',
        "iacute" => 'í',
        "oacute" => 'ó',
        "uacute" => 'ú',
        "ntilde" => 'ñ',
        "ccedil" => 'ç',
        "iexcl" => '¡',
        "iquest" => '¿',
        "middot" => '·',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "copy" => '©',
        _ => return None,
    })
}

/// Text being put together: runs of white space become one, more than one blank line becomes one.
#[derive(Default)]
struct Text {
    done: String,
    line: String,
}

impl Text {
    fn push(&mut self, text: &str) {
        for c in text.chars() {
            let white = c.is_ascii_whitespace();
            if !white {
                self.line.push(if c == '\u{a0}' { ' ' } else { c });
            } else if !self.line.is_empty() && !self.line.ends_with(' ') {
                self.line.push(' ');
            }
        }
    }

    /// The address of a link, unless the link's text says it already.
    fn push_address(&mut self, address: &str, start: usize) {
        let text = self.line.get(start.saturating_sub(self.done.len())..).unwrap_or_default();
        let said = address.contains(text.trim()) && !text.trim().is_empty();
        if said && address.trim_start_matches("mailto:") == text.trim() {
            return;
        }
        if ["http://", "https://", "mailto:"].iter().any(|scheme| address.starts_with(scheme)) {
            self.push(&format!(" ({address})"));
        }
    }

    fn end_line(&mut self) {
        let line = self.line.trim_end();
        if !line.is_empty() {
            self.done.push_str(line);
            self.done.push('\n');
        }
        self.line.clear();
    }

    fn end_block(&mut self) {
        self.end_line();
        if !self.done.is_empty() && !self.done.ends_with("\n\n") {
            self.done.push('\n');
        }
    }

    fn finish(mut self) -> String {
        self.end_line();
        self.done.trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_lists_tables_and_links_read_as_text() {
        let html = "<html><head><title>x</title><style>p { color: red }</style></head><body><!-- no -->
            <h1>¡Gracias,&nbsp;Ana!</h1><p>Tu pedido   <b>A&#8209;1</b><br>va en camino.</p>
            <ul><li>Mate &amp; yerba</li><li>Bombilla</li></ul>
            <table><tr><td>Total</td><td>$ 10</td></tr></table>
            <p><a href=\"https://example.com/?a=1&amp;b=2\" title=\"a > b\">Ver el pedido</a></p><script>if (1 < 2) {}</script></body></html>";
        assert_eq!(
            text_of_html(html),
            "¡Gracias, Ana!\n\nTu pedido A‑1\nva en camino.\n\n- Mate & yerba\n- Bombilla\n\nTotal $ 10\n\nVer el pedido (https://example.com/?a=1&b=2)"
        );
    }

    #[test]
    fn what_is_hidden_is_not_read() {
        let html =
            "<div style=\"color:red; display: none\">Vista <div>previa</div><!-- </div> --></div><p>Hola</p>";
        assert_eq!(text_of_html(html), "Hola");
    }

    #[test]
    fn broken_html_still_gives_its_text() {
        for html in [
            "<p",
            "a < b",
            "<a href=",
            "&#x110000; &nosuch; &",
            "<style>",
            "<!--",
            "<p title='x",
            "<p style='display:none'>x",
        ] {
            let _ = text_of_html(html);
        }
        assert_eq!(text_of_html("uno & dos"), "uno & dos");
    }
}
