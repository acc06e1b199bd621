//! From what a template's author wrote to the HTML that is rendered: MJML becomes HTML, and the stylesheets of either
//! move into the elements, since mail clients drop them. Once, when a version is made.
//!
//! The template's own tags must come out as they went in. Neither library knows them, so each is put away first: one
//! in an element's text as a word or a comment, one inside an element's tag as a word, and all are put back at the end.
//!
//! Nothing is read from elsewhere: no `mj-include`, no linked stylesheet.

use std::thread;

use trastienda_protocol::problem::FieldError;

/// How deep MJML may be nested.
const DEPTH_MAX: usize = 100;
/// Characters of what comes out; mail clients cut far shorter ones.
const COMPILED_MAX: usize = 1_000_000;
/// Both libraries recurse over what somebody else wrote.
const STACK: usize = 64 * 1024 * 1024;

/// The HTML of an MJML document.
pub(crate) async fn compile_mjml(source: String) -> Result<String, Vec<FieldError>> {
    aside("/mjml", move || mjml(&source)).await
}

/// HTML with its stylesheets moved into its elements; `None` if it has none.
pub(crate) async fn inline_html(source: String) -> Result<Option<String>, Vec<FieldError>> {
    if !source.to_ascii_lowercase().contains("<style") {
        return Ok(None);
    }
    aside("/html", move || html(&source)).await.map(Some)
}

/// On a stack of its own: what overflows or panics there takes nothing else with it.
async fn aside(
    pointer: &str,
    work: impl FnOnce() -> Result<String, String> + Send + 'static,
) -> Result<String, Vec<FieldError>> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let thread = thread::Builder::new().name("compile".to_owned()).stack_size(STACK);
    let started = thread.spawn(move || {
        let _ = sender.send(work());
    });
    let outcome = match started {
        Ok(_) => receiver.await.unwrap_or_else(|_| Err("cannot be read".to_owned())),
        Err(_) => Err("cannot be compiled right now: try again".to_owned()),
    };
    outcome.map_err(|message| vec![FieldError::new(pointer, message)])
}

/// The same at once, for the templates that come with the hub.
pub(crate) fn mjml(source: &str) -> Result<String, String> {
    // Between elements the library takes line ends of one kind only.
    let source = source.replace("\r\n", "\n");
    let away = PutAway::of(&source);
    check_depth(&away.text)?;
    // htmlparser 0.2.1 looks two bytes back from the first `>` of a text, and panics if that is in the middle of a letter.
    let parsed = std::panic::catch_unwind(|| mrml::parse(&away.text))
        .map_err(|_| "cannot be read: write a `>` that stands in a text as `&gt;`".to_owned())?
        .map_err(|error| explain(&away, &error))?;
    let options = mrml::prelude::render::RenderOptions {
        fonts: std::collections::HashMap::new(),
        ..Default::default()
    };
    let rendered = parsed.element.render(&options).map_err(|error| format!("cannot be rendered: {error}"))?;
    inline(&away, &rendered)
}

fn html(source: &str) -> Result<String, String> {
    let away = PutAway::of(source);
    inline(&away, &away.text)
}

fn inline(away: &PutAway, html: &str) -> Result<String, String> {
    let inliner = css_inline::CSSInliner::options()
        .load_remote_stylesheets(false)
        .keep_link_tags(true)
        .keep_at_rules(true)
        .build();
    let inlined = inliner.inline(html).map_err(|error| format!("its styles cannot be inlined: {error}"))?;
    let whole = away.put_back(&away.before_rows(inlined));
    if whole.len() > COMPILED_MAX {
        return Err(format!("becomes longer than {COMPILED_MAX} bytes of HTML"));
    }
    Ok(whole)
}

/// What the MJML library says, at the line of what was written.
fn explain(away: &PutAway, error: &mrml::prelude::parser::Error) -> String {
    use mrml::prelude::parser::Error;
    let (at, what) = match error {
        Error::UnexpectedElement { position, .. } => {
            (Some(position.start), "an element that has no place here")
        }
        Error::UnexpectedToken { position, .. } => (Some(position.start), "something that has no place here"),
        Error::MissingAttribute { position, name, .. } => {
            return away.at_line(position.start, &format!("the attribute `{name}` is missing"));
        }
        Error::InvalidAttribute { position, .. } => {
            (Some(position.start), "an attribute that cannot be read")
        }
        Error::InvalidFormat { position, .. } => (Some(position.start), "a value that cannot be read"),
        Error::IncludeLoaderError { position, .. } => {
            (Some(position.start), "`mj-include`: nothing is included from elsewhere")
        }
        Error::EndOfStream { .. } => (None, "it ends in the middle: an element is not closed"),
        Error::NoRootNode => (None, "it has no `<mjml>`"),
        Error::SizeLimit { .. } => (None, "it is too long"),
        Error::ParserError { source, .. } => return format!("is not MJML: {source}"),
    };
    match at {
        Some(at) => away.at_line(at, what),
        None => format!("is not MJML: {what}"),
    }
}

fn check_depth(text: &str) -> Result<(), String> {
    let mut depth = 0usize;
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let end = rest.find('>').unwrap_or(rest.len());
        if rest.starts_with('/') {
            depth = depth.saturating_sub(1);
        } else if !rest[..end].ends_with('/') && !rest.starts_with(['!', '?']) {
            depth += 1;
        }
        if depth > DEPTH_MAX {
            return Err(format!("is nested deeper than {DEPTH_MAX} elements"));
        }
    }
    Ok(())
}

/// A source without the template's tags, and the tags.
struct PutAway {
    text: String,
    tags: Vec<String>,
    word: String,
    /// Where each tag stood, and by how much everything behind it has moved.
    moves: Vec<(usize, isize)>,
    lines: Vec<usize>,
    /// The author wrote `<tbody>`.
    has_bodies: bool,
}

impl PutAway {
    fn of(source: &str) -> Self {
        // A word that occurs nowhere else, and that no stylesheet or attribute needs escaped.
        let mut word = "tplx".to_owned();
        let lower = source.to_ascii_lowercase();
        while lower.contains(&word) {
            word.push('x');
        }
        let has_bodies = lower.contains("<tbody");
        let lines = source.match_indices('\n').map(|(at, _)| at).collect();
        let mut away = Self {
            text: String::with_capacity(source.len()),
            tags: Vec::new(),
            word,
            moves: Vec::new(),
            lines,
            has_bodies,
        };
        let mut rest = source;
        let mut in_tag = None;
        let mut in_style = false;
        while let Some(c) = rest.chars().next() {
            if let Some(length) = tag_length(rest) {
                let number = away.tags.len();
                let stands_alone = in_tag.is_none() && !in_style && !rest.starts_with("{{");
                let word = format!("{}{number}z", away.word);
                let written = if stands_alone { format!("<!--{word}-->") } else { word };
                away.tags.push(rest[..length].to_owned());
                away.text.push_str(&written);
                let moved = length.cast_signed() - written.len().cast_signed();
                away.moves.push((away.text.len(), moved));
                rest = &rest[length..];
                continue;
            }
            match (in_tag, c) {
                (None, '<') => {
                    let lower: String = rest.chars().take(9).collect::<String>().to_ascii_lowercase();
                    in_style = lower.starts_with("<style")
                        || lower.starts_with("<mj-style")
                        || (in_style && !lower.starts_with("</"));
                    in_tag = Some(None);
                }
                (Some(None), '>') => in_tag = None,
                (Some(None), '"' | '\'') => in_tag = Some(Some(c)),
                (Some(Some(quote)), c) if quote == c => in_tag = Some(None),
                _ => {}
            }
            away.text.push(c);
            rest = &rest[c.len_utf8()..];
        }
        away
    }

    /// A loop that stands before its rows stays within the `<tbody>` that a parser puts around them.
    fn before_rows(&self, mut text: String) -> String {
        if self.has_bodies {
            return text;
        }
        let mut from = 0;
        while let Some(found) = text[from..].find("<tbody>") {
            let mut at = from + found;
            from = at + "<tbody>".len();
            while let Some(start) = self.comment_before(&text[..at]) {
                text.replace_range(at..at + "<tbody>".len(), "");
                text.insert_str(start, "<tbody>");
                at = start;
            }
        }
        text
    }

    /// Where the tag begins that ends a text, put away as a comment.
    fn comment_before(&self, text: &str) -> Option<usize> {
        let start = text.trim_end().strip_suffix("z-->")?.rfind("<!--")?;
        text[start + 4..].starts_with(&self.word).then_some(start)
    }

    fn put_back(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() * 2);
        let mut rest = text;
        while let Some(at) = rest.find(&self.word) {
            let (before, found) = rest.split_at(at);
            let number = &found[self.word.len()..];
            let end = number.find('z').unwrap_or(number.len());
            let tag = number[..end].parse::<usize>().ok().and_then(|index| self.tags.get(index));
            let after = number.get(end + 1..).unwrap_or_default();
            let Some(tag) = tag else {
                out.push_str(before);
                out.push_str(&self.word);
                rest = number;
                continue;
            };
            // A tag that stood alone stood as a comment.
            let alone = before.strip_suffix("<!--").zip(after.strip_prefix("-->"));
            let (before, after) = alone.unwrap_or((before, after));
            out.push_str(before);
            out.push_str(tag);
            rest = after;
        }
        out.push_str(rest);
        out
    }

    fn at_line(&self, at: usize, what: &str) -> String {
        let moved: isize = self.moves.iter().filter(|(end, _)| *end <= at).map(|(_, moved)| *moved).sum();
        let at = at.saturating_add_signed(moved);
        let line = self.lines.iter().filter(|newline| **newline < at).count() + 1;
        format!("line {line}: {what}")
    }
}

/// The length of the template's tag at the start of a text. A quoted `}}` does not end it.
fn tag_length(text: &str) -> Option<usize> {
    let end = match text.as_bytes() {
        [b'{', b'{', ..] => "}}",
        [b'{', b'%', ..] => "%}",
        [b'{', b'#', ..] => "#}",
        _ => return None,
    };
    if end == "#}" {
        return text.find(end).map(|at| at + 2);
    }
    let mut quote = None;
    for (at, c) in text.char_indices().skip(2) {
        match quote {
            Some(open) if c == open => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None if text[at..].starts_with(end) => return Some(at + 2),
            Some(_) | None => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_parser_cannot_bear_is_an_error_that_says_how_to_write_it() {
        let mjml = |text: &str| {
            mjml(&format!(
                "<mjml><mj-body><mj-section><mj-column><mj-text>{text}</mj-text></mj-column></mj-section></mj-body></mjml>"
            ))
        };
        assert!(mjml("$áS>").unwrap_err().contains("&gt;"));
        assert!(mjml("$áS&gt;").is_ok());
    }

    #[test]
    fn mjml_becomes_html_with_its_styles_in_place_and_the_tags_where_they_were() {
        let source = r#"<mjml><mj-head><mj-style>h1 { color: {{ color | default("red") }}; }</mj-style></mj-head><mj-body>
            {% for day in days %}<mj-section><mj-column>
              <mj-text><h1>{{ day }}</h1></mj-text>
              <mj-table>{% for item in items %}<tr><td>{{ item }}</td></tr>{% endfor %}</mj-table>
              {% if url is defined %}<mj-button href="{{ url | replace('>', '') }}">Ver</mj-button>{% endif %}
            </mj-column></mj-section>{% endfor %}</mj-body></mjml>"#;
        let html = mjml(source).unwrap();
        assert!(
            html.contains(r#"<h1 style="color: {{ color | default("red") }};">{{ day }}</h1>"#),
            "{html}"
        );
        assert!(
            html.contains("<tbody>{% for item in items %}<tr><td")
                && html.contains("{{ item }}</td></tr>{% endfor %}"),
            "{html}"
        );
        assert!(html.contains(r#"href="{{ url | replace('>', '') }}""#) && !html.contains("tplx"), "{html}");
        let order: Vec<_> =
            ["{% for day", "{% if url", "{% endif %}"].iter().map(|tag| html.find(tag).unwrap()).collect();
        assert!(order.is_sorted());
    }

    #[test]
    fn html_gets_its_styles_in_place_and_keeps_its_loops_in_tables() {
        let source = "<style>td { color: red } @media print { td { color: blue } }</style><table>{% for i in is %}<tr><td class=\"{% if i %}a{% endif %}\">{{ i }}</td></tr>{% endfor %}</table>";
        let inlined = html(source).unwrap();
        assert!(inlined.contains("<table><tbody>{% for i in is %}<tr>"), "{inlined}");
        assert!(
            inlined.contains("class=\"{% if i %}a{% endif %}\"") && inlined.contains("color: red"),
            "{inlined}"
        );
        assert!(inlined.contains("@media print"), "{inlined}");
    }

    #[test]
    fn lines_may_end_as_in_a_browser_s_form() {
        let source = "<mjml>\n<mj-head>\n<mj-title>a</mj-title>\n</mj-head>\n<mj-body>\n<mj-section>\n<mj-column>\n<mj-text>a</mj-text>\n</mj-column>\n</mj-section>\n</mj-body>\n</mjml>\n";
        assert_eq!(mjml(&source.replace('\n', "\r\n")), mjml(source));
        assert!(mjml(source).is_ok());
    }

    #[test]
    fn what_is_not_mjml_is_told_with_its_line() {
        for (source, told) in [
            ("<mjml><mj-body>", "is not MJML"),
            ("<p>no</p>", "line 1"),
            ("<mjml><mj-body><mj-include path=\"/etc/passwd\" /></mj-body></mjml>", "included"),
            ("", "MJML"),
        ] {
            let error = mjml(source).unwrap_err();
            assert!(error.contains(told), "{source}: {error}");
        }
        let deep = format!("<mjml><mj-body><mj-raw>{}</mj-raw></mj-body></mjml>", "<b>".repeat(20_000));
        assert!(mjml(&deep).unwrap_err().contains("deeper"));
    }

    #[test]
    fn a_place_is_told_by_the_line_that_the_author_wrote() {
        let away = PutAway::of("{{ a_very_long_name }}\n{% if x %}\n<b class=\"{{ y }}\">\n</b>");
        for (what, line) in [("<b", 3), ("</b>", 4)] {
            let at = away.text.find(what).unwrap();
            assert_eq!(away.at_line(at, "here"), format!("line {line}: here"));
        }
    }

    #[test]
    fn the_words_for_tags_never_meet_the_authors_own() {
        let source = "<mjml><mj-body><mj-section><mj-column><mj-text>tplx0z {{ a }} TPLX</mj-text></mj-column></mj-section></mj-body></mjml>";
        assert!(mjml(source).unwrap().contains("tplx0z {{ a }} TPLX"));
    }
}
