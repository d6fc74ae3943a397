//! A function's body cut into statements.

/// A piece of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Statement<'a> {
    /// `{` and `}`: names declared between them are theirs.
    Open,
    Close,
    Label(&'a str),
    /// What stands before a semicolon.
    Text(&'a str),
}

/// The statements of a body whose comments are gone.
pub(super) fn statements(mut rest: &str) -> Vec<Statement<'_>> {
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { return found };
        if first == '{' || first == '}' {
            found.push(if first == '{' { Statement::Open } else { Statement::Close });
            rest = &rest[1..];
            continue;
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
        let name = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        if rest[name..].starts_with(':') && !rest[name..].starts_with("::") {
            found.push(Statement::Label(&rest[..name]));
            rest = &rest[name + 1..];
            continue;
        }
        let end = rest.find(';').unwrap_or(rest.len());
        found.push(Statement::Text(rest[..end].trim()));
        rest = rest.get(end + 1..).unwrap_or("");
    }
}

/// The text without its comments.
pub(super) fn without_comments(source: &str) -> String {
    source.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// Operands, cut at the commas outside of braces and brackets.
pub(super) fn operands(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let mut found: Vec<&str> = text
        .split(|c| {
            match c {
                '{' | '[' | '(' => depth += 1,
                '}' | ']' | ')' => depth -= 1,
                _ => {}
            }
            c == ',' && depth == 0
        })
        .map(str::trim)
        .collect();
    if found == [""] {
        found.clear();
    }
    found
}
