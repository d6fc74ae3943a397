//! What a run came to, in a few lines on stdout.

use crate::pipeline::Summary;

/// The lines.
pub(super) fn summary(summary: &Summary, is_dry_run: bool) -> String {
    let mut lines = Vec::new();
    let reused: u64 = summary.rows.iter().map(|rows| rows.n_reused).sum();
    lines.push(format!(
        "{} {} in {:.1} s from {} {}",
        summary.n_pairs,
        plural(summary.n_pairs, "row", "rows"),
        summary.seconds,
        summary.n_roots,
        plural(summary.n_roots, "prompt or topic", "prompts or topics"),
    ));
    for rows in &summary.rows {
        let reused = match rows.n_reused {
            0 => String::new(),
            n => format!(", {n} from before"),
        };
        lines.push(format!("  {}: {}{reused}", rows.step, rows.n_made + rows.n_reused));
    }
    for (step, reasons) in &summary.dropped {
        for (reason, n) in reasons {
            lines.push(format!("  {step} dropped {n}: {reason}"));
        }
    }
    for (step, notes) in &summary.notes {
        for (note, n) in notes {
            lines.push(format!("  {step} noted {n}: {note}"));
        }
    }
    for (model, tokens) in &summary.tokens {
        if tokens.n_answers > 0 {
            let cached = 100 * tokens.n_cached / tokens.n_input.max(1);
            lines.push(format!(
                "  {model}: {} answers, {} tokens in ({cached} % cached), {} out",
                tokens.n_answers, tokens.n_input, tokens.n_output
            ));
        }
    }
    if is_dry_run {
        lines.push("dry run: nothing was kept".to_owned());
    } else {
        if reused > 0 {
            lines.push(format!("{reused} rows were there already"));
        }
        let folder = summary.folder.display();
        if summary.n_dropped() > 0 {
            lines.push(format!("dropped rows: {folder}/dropped.jsonl"));
        }
        lines.push(match summary.n_pairs {
            0 => "no row came out, so there is no data set".to_owned(),
            _ => format!("data set: {folder}/dataset"),
        });
        lines.push(format!("report: {folder}/report.html"));
    }
    lines.join("\n")
}

fn plural(n: u64, one: &'static str, many: &'static str) -> &'static str {
    if n == 1 { one } else { many }
}
