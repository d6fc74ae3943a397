//! What a push must change, from what is here and what is there. It must not know the network.

use std::collections::BTreeMap;

use super::Fate;
use super::hashed::Hashed;

/// A file of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remote {
    /// Git's SHA-1; of a large file, that of the note that stands in its place.
    pub(super) git: String,
    /// SHA-256 of a large file's content.
    pub(super) sha256: Option<String>,
}

/// What must change.
#[derive(Debug, Default)]
pub(super) struct Plan<'f, 'l> {
    /// Files to send.
    pub(super) send: Vec<&'f Hashed<'l>>,
    /// Names of files that are there as they shall be.
    pub(super) same: Vec<String>,
    /// Names of files to delete.
    pub(super) delete: Vec<String>,
}

impl Plan<'_, '_> {
    /// Whether there is something to commit.
    pub(super) fn is_news(&self) -> bool {
        !self.delete.is_empty() || self.send.iter().any(|hashed| hashed.file.is_news)
    }
}

/// Decides what must change.
///
/// # Errors
/// The name of a file that would be taken for a part of what is pushed.
pub(super) fn plan<'f, 'l>(
    files: &'f [Hashed<'l>],
    there: &BTreeMap<String, Remote>,
    fate: &dyn Fn(&str) -> Fate,
) -> Result<Plan<'f, 'l>, String> {
    let mut plan = Plan::default();
    for hashed in files {
        let is_same = there.get(&hashed.file.name).is_some_and(|remote| match &remote.sha256 {
            Some(sha256) => *sha256 == hashed.sha256,
            None => remote.git == hashed.git,
        });
        if is_same {
            plan.same.push(hashed.file.name.clone());
        } else if there.contains_key(&hashed.file.name) && fate(&hashed.file.name) == Fate::Clashes
        {
            return Err(hashed.file.name.clone());
        } else {
            plan.send.push(hashed);
        }
    }
    for name in there.keys().filter(|name| files.iter().all(|file| file.file.name != **name)) {
        match fate(name) {
            Fate::Stays => (),
            Fate::Goes => plan.delete.push(name.clone()),
            Fate::Clashes => return Err(name.clone()),
        }
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::push::LocalFile;

    fn check(there: &[(&str, &str, Option<&str>)], want: Result<[&[&str]; 3], &str>) {
        let files = [("README.md", true), ("data/a", true), ("report.html", false)];
        let files = files.map(|(name, is_news)| LocalFile {
            name: name.to_owned(),
            path: name.into(),
            is_news,
        });
        let hash = |file| Hashed {
            file,
            n_bytes: 1,
            git: "g".into(),
            sha256: "s".into(),
            sample: Vec::new(),
        };
        let hashed: Vec<_> = files.iter().map(hash).collect();
        let remote = |git: &str, sha256: Option<&str>| Remote {
            git: git.to_owned(),
            sha256: sha256.map(str::to_owned),
        };
        let there: BTreeMap<_, _> = there
            .iter()
            .map(|(name, git, sha256)| ((*name).to_owned(), remote(git, *sha256)))
            .collect();
        let fate = |name: &str| match name {
            "data/old" => Fate::Goes,
            "data/other" | "data/a" => Fate::Clashes,
            _ => Fate::Stays,
        };
        let found = plan(&hashed, &there, &fate).map(|plan| {
            let send = plan.send.iter().map(|hashed| hashed.file.name.clone()).collect::<Vec<_>>();
            ([send, plan.same.clone(), plan.delete.clone()], plan.is_news())
        });
        match (found, want) {
            (Ok((found, is_news)), Ok(want)) => {
                assert!(found.iter().zip(want).all(|(found, want)| found == want), "{found:?}");
                let alone = found[0] == ["report.html"] || found[0].is_empty();
                assert_eq!(is_news, !alone || !found[2].is_empty());
            }
            (found, want) => assert_eq!(found.map(|_| ()), want.map(|_| ()).map_err(String::from)),
        }
    }

    #[test]
    fn what_differs_is_sent_and_what_is_left_over_goes() {
        let all: &[&str] = &["README.md", "data/a", "report.html"];
        check(&[], Ok([all, &[], &[]]));
        let same =
            [("README.md", "g", None), ("data/a", "x", Some("s")), ("report.html", "g", None)];
        check(&same, Ok([&[], all, &[]]));
        // A large file's own hash counts, not that of its note.
        check(
            &[("README.md", "h", Some("t")), same[1], same[2]],
            Ok([&["README.md"], &["data/a", "report.html"], &[]]),
        );
        // What somebody else put there under the same name is not written over.
        check(&[same[0], ("data/a", "g", Some("t")), same[2]], Err("data/a"));
        // A report alone is no news.
        check(&same[..2], Ok([&["report.html"], &["README.md", "data/a"], &[]]));
        check(
            &[same[0], same[1], same[2], ("data/old", "x", None), ("notes.txt", "x", None)],
            Ok([&[], all, &["data/old"]]),
        );
        check(&[("data/other", "x", None)], Err("data/other"));
    }
}
