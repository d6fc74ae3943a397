//! Pushes that go well: first, again, changed, in parts, beside others.

use stillroom::hub::push::Pushed;

use crate::bench::{Bench, REPO, bytes, count};
use crate::server::Trick;

fn names(pushed: &Pushed) -> Vec<&str> {
    pushed.sent.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn the_first_push_makes_the_repository_and_one_commit() {
    let mut bench = Bench::new();
    bench.is_private = true;
    let pushed = bench.push().unwrap();
    bench.expect_there(&[]);
    let commits = bench.server.commits(REPO);
    assert_eq!(commits.len(), 2);
    assert_eq!(commits[1].message, "Pairs\nMore.");
    assert!(bench.server.with(|state| state.repos[REPO].is_private));
    assert_eq!(pushed.commit.as_deref(), Some(commits[1].oid.as_str()));
    let url = format!("{}/datasets/{REPO}/commit/{}", bench.server.endpoint(), commits[1].oid);
    assert_eq!(pushed.url, url);
    assert!(pushed.is_created && pushed.is_new && pushed.same.is_empty());
    assert_eq!(pushed.sent.len(), 5);
    assert!(pushed.sent.contains(&("data/train-00000-of-00002.parquet".to_owned(), 30_000)));
}

#[test]
fn the_same_again_sends_nothing_and_makes_no_commit() {
    let bench = Bench::new();
    let first = bench.push().unwrap();
    bench.server.asked();
    let again = bench.push().unwrap();
    assert_eq!((again.is_new, again.is_created, again.sent.len()), (false, false, 0));
    assert_eq!((again.commit, again.same.len()), (first.commit, 5));
    let asked = bench.server.asked();
    assert!(asked.iter().all(|asked| asked.line.starts_with("GET ")), "{asked:?}");
    assert_eq!(bench.n_commits(), 1);
}

#[test]
fn of_one_changed_file_only_that_one_is_sent() {
    let bench = Bench::new();
    bench.push().unwrap();
    bench.server.asked();
    bench.write("data/train-00001-of-00002.parquet", &bytes(8_000, 9));
    let pushed = bench.push().unwrap();
    assert_eq!(names(&pushed), ["data/train-00001-of-00002.parquet"]);
    let asked = bench.server.asked();
    assert_eq!(count(&asked, "PUT /store/"), 1);
    bench.expect_there(&[]);
    assert_eq!(bench.n_commits(), 2);
}

#[test]
fn a_report_goes_along_but_is_no_news_alone() {
    let bench = Bench::new();
    bench.push().unwrap();
    bench.write("report.html", b"<p>better</p>");
    let pushed = bench.push().unwrap();
    assert_eq!((pushed.is_new, pushed.same.len(), bench.n_commits()), (false, 5, 1));
    bench.write("recipe.toml", b"name = \"other\"\n");
    assert_eq!(names(&bench.push().unwrap()), ["recipe.toml", "report.html"]);
    bench.expect_there(&[]);
}

#[test]
fn other_names_of_shards_replace_those_of_before_and_nothing_else() {
    let bench = Bench::new();
    bench.push().unwrap();
    bench.server.with(|state| state.put(REPO, &[("notes/mine.md", "mine"), ("LICENSE", "x")]));
    bench.remove("data/train-00000-of-00002.parquet");
    bench.remove("data/train-00001-of-00002.parquet");
    bench.write("data/train-00000-of-00001.parquet", &bytes(30_000, 1));
    let pushed = bench.push().unwrap();
    let old = ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"];
    assert_eq!(pushed.deleted, old);
    bench.expect_there(&["notes/mine.md", "LICENSE"]);
    // The bytes were there under another name.
    assert_eq!(count(&bench.server.asked(), "PUT /store/"), 2);
    assert_eq!(bench.n_commits(), 3);
}

#[test]
fn a_large_file_goes_in_parts_of_the_servers_size() {
    let bench = Bench::new();
    bench.server.with(|state| state.part_bytes = Some(4096));
    // One part is cut off, one is refused as if its address were too old.
    bench.server.play("part=2", Trick::CutBody(1000));
    bench.server.play("part=5", Trick::Status(403));
    bench.push().unwrap();
    bench.expect_there(&[]);
    let asked = bench.server.asked();
    assert_eq!(count(&asked, "POST /api/complete/"), 2);
    let sizes: Vec<_> =
        asked.iter().filter(|a| a.line.contains("&part=")).map(|a| a.n_bytes).collect();
    assert!(sizes.iter().all(|n| *n <= 4096) && sizes.contains(&(30_000 % 4096)), "{sizes:?}");
    // 8 parts and 2; one again after the cut; the first five of the larger file again.
    assert_eq!(sizes.len(), 8 + 2 + 1 + 5);
}

#[test]
fn somebody_elses_commit_is_kept_and_ours_comes_after_it() {
    let bench = Bench::new();
    bench.push().unwrap();
    bench.write("recipe.toml", b"name = \"other\"\n");
    bench.server.play("/commit/main", Trick::Overtake);
    let pushed = bench.push().unwrap();
    assert!(pushed.is_new);
    bench.expect_there(&["theirs-2.txt"]);
    let messages: Vec<_> =
        bench.server.commits(REPO).into_iter().map(|commit| commit.message).collect();
    assert_eq!(messages, ["initial commit", "Pairs\nMore.", "by somebody", "Pairs\nMore."]);
}

#[test]
fn a_list_of_files_is_read_to_its_end() {
    let bench = Bench::new();
    bench.server.with(|state| state.page = 2);
    bench.push().unwrap();
    assert!(!bench.push().unwrap().is_new);
    assert!(count(&bench.server.asked(), "cursor=6") > 0);
}

#[test]
fn a_branch_is_made_and_the_main_one_left_alone() {
    let mut bench = Bench::new();
    bench.push().unwrap();
    bench.branch = "runs/monday";
    bench.write("recipe.toml", b"name = \"monday\"\n");
    let pushed = bench.push().unwrap();
    assert_eq!((pushed.branch.as_str(), pushed.sent.len()), ("runs/monday", 1));
    bench.expect_there(&[]);
    assert_eq!(bench.n_commits(), 1);
    assert!(!bench.push().unwrap().is_new);
}

#[test]
fn a_preview_says_it_all_and_changes_nothing() {
    let bench = Bench::new();
    let preview = bench.preview().unwrap();
    assert!(preview.is_created && preview.is_new && preview.commit.is_none());
    assert_eq!(preview.sent.len(), 5);
    assert!(bench.server.with(|state| state.repos.is_empty()));
    bench.push().unwrap();
    bench.write("recipe.toml", b"");
    bench.remove("data/train-00001-of-00002.parquet");
    bench.server.asked();
    let preview = bench.preview().unwrap();
    assert_eq!(names(&preview), ["recipe.toml"]);
    assert_eq!(preview.deleted, ["data/train-00001-of-00002.parquet"]);
    let asked = bench.server.asked();
    assert!(asked.iter().all(|asked| asked.line.starts_with("GET ")), "{asked:?}");
    assert_eq!(bench.n_commits(), 1);
    // Empty files come inside the commit: the store takes none.
    bench.push().unwrap();
    bench.expect_there(&[]);
}
