//! Templates and data as nobody would write them: nothing panics, and no value becomes HTML or a second line.

use chrono_tz::Tz;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Manner, Parts, check_syntax, compile, render, text_of_html, variables};

const MANNER: Manner<'_> = Manner { locale: "es-AR", time_zone: Tz::UTC };

/// Pieces that mean something to one of the three languages, in any order.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{{ a }}".to_owned()),
        Just("{{ a.b[0] | money('ARS') }}".to_owned()),
        Just("{{ a | datetime('long', time_zone=b) }}".to_owned()),
        Just("{% for a in items %}".to_owned()),
        Just("{% endfor %}".to_owned()),
        Just("{% if a is defined %}".to_owned()),
        Just("{% endif %}".to_owned()),
        Just("{% macro m(a) %}{{ m(a) }}{% endmacro %}{{ m(1) }}".to_owned()),
        Just("{% set a = 'x' * 99999 %}{{ a * 99 }}".to_owned()),
        Just("{{ \"}}\" }}".to_owned()),
        Just("{# <style> #}".to_owned()),
        Just("{% raw %}{{{% endraw %}".to_owned()),
        Just("{{".to_owned()),
        Just("%}".to_owned()),
        Just("<table><tr><td class=\"{{ a }}\">".to_owned()),
        Just("</td></tr></table>".to_owned()),
        Just("<style>td { color: {{ a }} } @media x { p { y: z } }</style>".to_owned()),
        Just("<mj-text>".to_owned()),
        Just("</mj-text>".to_owned()),
        Just("<mj-table width=\"{{ a }}px\">".to_owned()),
        Just("<a href='{{ a | url }}' title=\"".to_owned()),
        Just("<!-- {{ a }} -->".to_owned()),
        Just("<![CDATA[".to_owned()),
        Just("tplx0z".to_owned()),
        "[ -~áéñ€\\n]{0,12}",
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

fn data() -> impl Strategy<Value = Map<String, Value>> {
    let value = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        "[<>\"'&\r\n{}%-]{0,10}".prop_map(Value::from),
        prop::collection::vec("\\PC{0,5}", 0..3).prop_map(Value::from),
    ];
    prop::collection::btree_map("a|b|items", value, 0..4).prop_map(|map| map.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_template_and_no_data_panics(source in soup(), data in data()) {
        let parts = Parts { subject: Some(&source), html: Some(&source), text: Some(&source) };
        let _ = check_syntax(parts);
        let _ = variables(parts);
        let _ = render(parts, MANNER, "/data", &data, &Map::new());
        let _ = text_of_html(&source);
    }

    #[test]
    fn compiling_never_panics_and_forgets_no_tag(source in soup()) {
        if let Ok(html) = compile::mjml(&format!("<mjml><mj-body><mj-section><mj-column><mj-text>{source}</mj-text></mj-column></mj-section></mj-body></mjml>")) {
            prop_assert!(!html.contains("tplxx"), "{html}");
        }
        if let Ok(Some(html)) = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(compile::inline_html(source.clone())) {
            prop_assert!(!html.contains("tplxx"), "{html}");
        }
    }

    #[test]
    fn no_value_becomes_html_or_a_second_line(value in "\\PC{0,30}|[<>\"'&\r\n/=`-]{0,20}") {
        let parts = Parts {
            subject: Some("Hola {{ v }}"),
            html: Some("<p title=\"{{ v }}\">{{ v }}</p><!-- {{ v }} -->"),
            text: None,
        };
        let data = json!({"v": value});
        let rendered = render(parts, MANNER, "/data", data.as_object().unwrap(), &Map::new()).unwrap();
        let html = rendered.html.unwrap();
        prop_assert_eq!(html.matches('<').count(), 3);
        prop_assert_eq!(html.matches('>').count(), 3);
        prop_assert_eq!(html.matches('"').count(), 2);
        let subject = rendered.subject.unwrap();
        prop_assert!(!subject.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')), "{subject:?}");
    }
}
