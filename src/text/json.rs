//! JSON as Python writes it, for chat templates.
//!
//! `json.dumps` puts a space after each comma and colon (no space before a line break when it
//! indents), writes non-ASCII text as it is when told to, and escapes nothing for HTML. Models
//! were trained on that spelling.

use minijinja::value::Kwargs;
use minijinja::{Error, ErrorKind, Value};
use serde_json::Value as Json;

/// The `tojson` filter that transformers gives to templates.
pub(super) fn tojson(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let sort_keys: Option<bool> = options.get("sort_keys")?;
    let ensure_ascii: Option<bool> = options.get("ensure_ascii")?;
    options.assert_all_used()?;
    let json = serde_json::to_value(value).map_err(|e| {
        Error::new(ErrorKind::InvalidOperation, "this value has no JSON form").with_source(e)
    })?;
    let style = Style {
        indent,
        sort_keys: sort_keys.unwrap_or(false),
        ensure_ascii: ensure_ascii.unwrap_or(false),
    };
    let mut out = String::new();
    style.write(&json, 0, &mut out);
    Ok(Value::from(out))
}

/// How JSON is spelled.
struct Style {
    indent: Option<usize>,
    sort_keys: bool,
    ensure_ascii: bool,
}

impl Style {
    fn write(&self, json: &Json, depth: usize, out: &mut String) {
        match json {
            Json::Null => out.push_str("null"),
            Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Json::Number(number) => out.push_str(&number.to_string()),
            Json::String(text) => self.write_text(text, out),
            Json::Array(values) => {
                let items = values.iter().map(|value| (None, value)).collect();
                self.write_items(['[', ']'], items, depth, out);
            }
            Json::Object(map) => {
                let mut items: Vec<_> = map.iter().map(|(k, v)| (Some(k), v)).collect();
                if self.sort_keys {
                    items.sort_by_key(|(key, _)| *key);
                }
                self.write_items(['{', '}'], items, depth, out);
            }
        }
    }

    fn write_items(
        &self,
        [open, close]: [char; 2],
        items: Vec<(Option<&String>, &Json)>,
        depth: usize,
        out: &mut String,
    ) {
        out.push(open);
        let is_empty = items.is_empty();
        for (i, (key, value)) in items.into_iter().enumerate() {
            match (i, self.indent) {
                (0, None) => {}
                (_, None) => out.push_str(", "),
                (0, Some(_)) => self.write_line_break(depth + 1, out),
                (_, Some(_)) => {
                    out.push(',');
                    self.write_line_break(depth + 1, out);
                }
            }
            if let Some(key) = key {
                self.write_text(key, out);
                out.push_str(": ");
            }
            self.write(value, depth + 1, out);
        }
        if !is_empty && self.indent.is_some() {
            self.write_line_break(depth, out);
        }
        out.push(close);
    }

    fn write_line_break(&self, depth: usize, out: &mut String) {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', depth * self.indent.unwrap_or(0)));
    }

    fn write_text(&self, text: &str, out: &mut String) {
        let quoted = Json::String(text.to_owned()).to_string();
        if !self.ensure_ascii {
            out.push_str(&quoted);
            return;
        }
        for c in quoted.chars() {
            if c.is_ascii() {
                out.push(c);
            } else {
                let units = &mut [0; 2];
                let escaped = c.encode_utf16(units).iter().map(|unit| format!("\\u{unit:04x}"));
                out.extend(escaped);
            }
        }
    }
}
