//! What the Hub takes for the name of a repository or of a branch that is written.
//!
//! Names become paths and addresses, so they may hold only what the Hub allows. It must not know
//! the network.

/// Longest name of a repository, its owner included.
const N_NAME_MAX: usize = 96;

/// Why `repo` names no repository that can be written: `owner/name`, or `name` alone for one of
/// the token's own user.
///
/// # Errors
/// What is wrong with it, to go after the name.
pub fn check_repo(repo: &str) -> Result<(), &'static str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let parts: Vec<&str> = repo.split('/').collect();
    if parts.len() > 2 || parts.iter().any(|part| part.is_empty()) {
        return Err("is not written as owner/name");
    }
    if !parts.iter().all(|part| part.chars().all(is_word)) {
        return Err("holds something other than letters, digits, `-`, `_` and `.`");
    }
    if parts.iter().any(|part| part.starts_with(['-', '.']) || part.ends_with(['-', '.'])) {
        return Err("begins or ends a part with `-` or `.`");
    }
    if repo.contains("--") || repo.contains("..") {
        return Err("holds `--` or `..`");
    }
    if repo.len() > N_NAME_MAX || repo.ends_with(".git") {
        return Err("is longer than 96 characters or ends in `.git`");
    }
    Ok(())
}

/// Why `branch` names no branch that can be pushed to.
///
/// # Errors
/// What is wrong with it, to go after the name.
pub fn check_branch(branch: &str) -> Result<(), &'static str> {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let is_part = |part: &str| {
        !matches!(part, "" | "." | "..") && part.bytes().all(is_word) && !part.starts_with('-')
    };
    if !branch.split('/').all(is_part) {
        return Err("holds something other than letters, digits, `-`, `_`, `.` and `/`");
    }
    if branch.len() == 40 && branch.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err("is a commit, and a push goes to a branch");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_hub() {
        for good in ["me/pairs", "pairs", "my-org/a_b.c-9"] {
            assert_eq!(check_repo(good), Ok(()), "{good}");
        }
        let long = "a".repeat(97);
        let bad = [
            "", "/x", "a/", "a/b/c", "a b", "../x", "a/.b", "a/b-", "a--b", "a..b", "x.git", &long,
            "a/b?c", "a\\b",
        ];
        for bad in bad {
            assert!(check_repo(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn branches_are_no_commits_and_lead_nowhere_else() {
        for good in ["main", "v1.0", "runs/monday"] {
            assert_eq!(check_branch(good), Ok(()), "{good}");
        }
        let commit = "0123456789abcdef0123456789abcdef01234567";
        for bad in ["", "a//b", "../x", "a b", "a?b", "-x", commit] {
            assert!(check_branch(bad).is_err(), "{bad}");
        }
    }
}
