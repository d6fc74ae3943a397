//! `stillroom init`: the example of the repository, written where the user wants to begin.

use std::io::{ErrorKind, Write as _};

use super::args::InitArgs;
use super::screen::Screen;
use crate::{Error, Result};

/// It is tested as an example, so that what `init` writes runs.
const RECIPE: &str = include_str!("../../examples/math-preference.toml");

/// The path by which the example names itself.
const EXAMPLE_PATH: &str = "examples/math-preference.toml";

/// Writes the recipe; a file that is there stays as it is.
pub(super) fn init(args: &InitArgs, screen: &Screen) -> Result<()> {
    let path = args.path.display().to_string();
    let text = RECIPE.replace(EXAMPLE_PATH, &path);
    let file = std::fs::File::create_new(&args.path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
        if error.kind() == ErrorKind::AlreadyExists {
            return Error::Usage {
                what: format!("{path} is there already"),
                hint: "name another file: `stillroom init my-recipe.toml`".to_owned(),
            };
        }
        let hint = "choose a folder that exists and can be written";
        Error::environment_from(format!("cannot write {path}"), hint, error)
    })?;
    screen.print(&format!("wrote {path}; try `stillroom run {path}`"));
    Ok(())
}
