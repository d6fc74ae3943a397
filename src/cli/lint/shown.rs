//! The report as a person reads it.

use crate::data::lint::{Fit, Report};

/// The report's lines.
pub(super) fn shown(report: &Report) -> String {
    let mut lines = Vec::new();
    for file in &report.files {
        lines.push(format!(
            "{}: {} {}, split {}, {}",
            file.name,
            file.n_rows,
            if file.n_rows == 1 { "row" } else { "rows" },
            file.split,
            file.schema.words(),
        ));
    }
    lines
        .extend(report.strangers.iter().map(|file| format!("{file}: no preferences, passed over")));
    lines.push(readers(report));
    if let Some(format) = report.format
        && let Some((name, Fit::No(why))) =
            report.fits().into_iter().find(|(name, _)| *name == format.name())
    {
        lines.push(format!("not for {name}: {why}"));
    }
    if let Some(figures) = report.lengths.figures() {
        let longer = figures.longer_chosen.map_or(String::new(), |share| {
            format!(", the longer one is chosen in {:.0} %", 100.0 * share)
        });
        lines.push(format!(
            "characters: chosen {:.0}, rejected {:.0} on average{longer}, correlation {:.2}",
            figures.chosen_mean, figures.rejected_mean, figures.correlation,
        ));
    }
    for finding in &report.findings {
        lines.push(format!("\n{} ({}): {}", finding.rule, finding.count, finding.what));
        let n_more = finding.count.saturating_sub(finding.places.len() as u64);
        let more = if n_more > 0 { format!(" and {n_more} more") } else { String::new() };
        lines.push(format!("  at {}{more}", finding.places.join(", ")));
        lines.push(format!("  {}", finding.advice));
    }
    if report.findings.is_empty() {
        lines.push("nothing found".to_owned());
    }
    lines.join("\n")
}

/// The trainers that read the layout.
fn readers(report: &Report) -> String {
    let readers = report.fits().into_iter().filter_map(|(name, fit)| match fit {
        Fit::Yes => Some(name.to_owned()),
        Fit::With(setting) => Some(format!("{name} (with {setting})")),
        Fit::No(_) => None,
    });
    let readers: Vec<String> = readers.collect();
    if readers.is_empty() {
        "read by none of the known trainers".to_owned()
    } else {
        format!("read by: {}", readers.join(", "))
    }
}
