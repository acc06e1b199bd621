//! What changed between two versions, part by part, as a unified diff.

use serde::Serialize;
use similar::TextDiff;
use utoipa::ToSchema;

use super::Template;

/// Two versions beside each other.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Diff {
    /// The older version's number.
    pub from: i32,
    /// The newer version's number.
    pub to: i32,
    /// The parts that are not equal.
    pub changes: Vec<Change>,
}

/// A part that is not equal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Change {
    /// `subject`, `html`, `mjml`, `text`, `sample` or `locale`.
    pub part: &'static str,
    /// A unified diff of its lines.
    pub diff: String,
}

impl Diff {
    /// Compares.
    pub(super) fn of(from: &Template, to: &Template) -> Self {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        let sample = |template: &Template| serde_json::to_string_pretty(&template.sample).unwrap_or_default();
        let parts = [
            ("locale", from.locale.clone(), to.locale.clone()),
            ("subject", text(&from.subject), text(&to.subject)),
            ("mjml", text(&from.mjml), text(&to.mjml)),
            ("html", text(&from.html), text(&to.html)),
            ("text", text(&from.text), text(&to.text)),
            ("sample", sample(from), sample(to)),
        ];
        let changed = parts.into_iter().filter(|(_, before, after)| before != after);
        let changes = changed.map(|(part, before, after)| {
            let diff = TextDiff::configure()
                .timeout(std::time::Duration::from_millis(500))
                .diff_lines(&before, &after);
            let (old, new) = (format!("version {}", from.version), format!("version {}", to.version));
            Change {
                part,
                diff: diff.unified_diff().header(&old, &new).missing_newline_hint(false).to_string(),
            }
        });
        Self { from: from.version, to: to.version, changes: changes.collect() }
    }
}
