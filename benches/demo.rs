//! What the demo family can do, on exercises whose numbers training never saw.
//!
//! `cargo bench --bench demo` prints a line for each figure, with Wilson's 95 % interval; `-- answers`,
//! `-- writing`, `-- judging` or `-- job` takes one part, `--n N` the number of exercises, `--family FOLDER` models that
//! are still in training. Everything runs through the pipeline, as a user's run does; the checker is in nobody's path and
//! only counts afterwards.

#[path = "demo/judging.rs"]
mod judging;
#[path = "demo/runs.rs"]
mod runs;
#[path = "demo/share.rs"]
mod share;

use serde_json::json;
use stillroom::data::row::Columns;
use stillroom::recipe::spec::{Generation, LoadDataFromDicts, SelfInstruct, TextGeneration};
use stillroom::recipe::step;
use stillroom_models::demo::answer;
use stillroom_models::demo::dice::Dice;
use stillroom_models::demo::exercise::{Exercise, Share as Part};
use stillroom_models::demo::topic::Topic;

use runs::{Family, Job, RECIPE, columns, text};
use share::Share;

/// Seed of the exercises, unlike any of a training.
const SEED: u64 = 0x5EED_0FF0;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let n = value("--n").and_then(|n| n.parse().ok()).unwrap_or(1000);
    let family = Family(value("--family"));
    let parts = ["answers", "writing", "judging", "job"];
    let named: Vec<&str> = parts.into_iter().filter(|p| arguments.iter().any(|a| a == p)).collect();
    let wanted = |part: &str| named.is_empty() || named.contains(&part);
    if wanted("answers") {
        answers(&family, n);
    }
    if wanted("writing") {
        writing(&family);
    }
    if wanted("judging") {
        judging::judging(&family, n);
    }
    if wanted("job") {
        job(&family);
    }
}

/// Exercises for measuring, all different.
fn exercises(n: usize) -> Vec<(Exercise, String)> {
    let mut dice = Dice::new(SEED);
    let mut all: Vec<(Exercise, String)> = Vec::with_capacity(n);
    // The smallest forms hold out a handful of exercises; other words make another text of one.
    for _ in 0..20 * n {
        let exercise = Exercise::draw(&mut dice, Part::HeldOut);
        let text = exercise.text(&mut dice);
        if all.len() < n && all.iter().all(|(_, known)| *known != text) {
            all.push((exercise, text));
        }
    }
    all
}

fn answers(family: &Family, n: usize) {
    println!("\n## Answers that are right, of {n} held-out exercises\n");
    println!("| model | temperature | right |\n|---|---|---|");
    let exercises = exercises(n);
    for member in ["llama", "mixtral"] {
        for temperature in [0.0, 0.7] {
            let rows: Vec<Columns> = exercises
                .iter()
                .map(|(_, text)| columns(&[("instruction", json!(text))]))
                .collect();
            let generation =
                Generation { max_new_tokens: 64, temperature, ..Generation::default() };
            let flow = step("load", LoadDataFromDicts::new(rows))
                >> step("answer", TextGeneration { generation, ..TextGeneration::new("model") });
            let job = Job::of_flow(&[("model", family.source(member))], flow);
            let mut share = Share::default();
            for row in job.rows("answer") {
                let exercise = Exercise::read(&text(&row, "instruction")).expect("an exercise");
                share.count(answer::is_right(&exercise, &text(&row, "generation")));
            }
            println!("| {member} | {temperature} | {share} |");
        }
    }
}

fn writing(family: &Family) {
    println!("\n## Exercises that SelfInstruct writes, twenty on each topic, ten times\n");
    println!("| | share |\n|---|---|");
    let rows: Vec<Columns> = (0..10)
        .flat_map(|nth| {
            Topic::ALL.map(|topic| columns(&[("input", json!(topic.name())), ("nth", json!(nth))]))
        })
        .collect();
    let spec = runs::step_of_recipe("instruct");
    let stillroom::recipe::spec::Step::SelfInstruct(spec) = spec else {
        panic!("`instruct` of {RECIPE} is SelfInstruct")
    };
    let spec = SelfInstruct { num_instructions: 20, model: "model".to_owned(), ..spec };
    let flow = step("load", LoadDataFromDicts::new(rows)) >> step("write", spec);
    let (mut formed, mut new, mut n_lists, mut n_lines) =
        (Share::default(), Share::default(), 0, 0);
    for row in Job::of_flow(&[("model", family.source("llama"))], flow).rows("write") {
        let topic = Topic::named(&text(&row, "input"));
        n_lists += 1;
        for line in row["instructions"].as_array().expect("a list") {
            let exercise = Exercise::read(line.as_str().unwrap_or_default());
            n_lines += 1;
            new.count(exercise.as_ref().is_some_and(|e| e.share() == Part::HeldOut));
            formed.count(exercise.is_some_and(|exercise| Some(exercise.topic()) == topic));
        }
    }
    println!("| well formed and on topic | {formed} |");
    println!("| of the tenth that training never saw | {new} |");
    println!("| exercises of a list of 20 | {:.1} |", f64::from(n_lines) / f64::from(n_lists));
}

fn job(family: &Family) {
    println!("\n## The whole job: {RECIPE}\n");
    println!("| | |\n|---|---|");
    let mut overrides = vec!["steps.instruct.num_instructions=20".to_owned()];
    for member in ["llama", "mixtral", "judge"] {
        overrides.push(format!("models.{member}.source={}", family.source(member)));
    }
    let job = Job::of_file(&overrides);
    let (mut decided, mut agreed) = (Share::default(), Share::default());
    for row in job.rows("dpo") {
        let Some(exercise) = Exercise::read(&text(&row, "prompt")) else {
            decided.count(false);
            continue;
        };
        let is_right = |side: &str| {
            let answer = row[side].as_array().and_then(|turns| turns.last());
            let answer = answer.and_then(|turn| turn["content"].as_str()).unwrap_or_default();
            answer::is_right(&exercise, answer)
        };
        let (chosen, rejected) = (is_right("chosen"), is_right("rejected"));
        decided.count(chosen != rejected);
        if chosen != rejected {
            agreed.count(chosen);
        }
    }
    println!("| seconds | {:.1} |", job.seconds);
    println!("| instructions | {} |", job.rows("expand").len());
    println!("| pairs | {} |", decided.n);
    println!("| with one side right and the other wrong | {decided} |");
    println!("| of those, the right one chosen | {agreed} |");
    let mut wordings: Vec<String> =
        job.rows("expand").iter().map(|r| text(r, "instruction")).collect();
    wordings.sort_unstable();
    wordings.dedup();
    println!("| different instructions | {} |", wordings.len());
}
