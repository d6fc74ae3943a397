//! The members of the family, as they are compiled into the program.

use crate::files::Inside;

/// The files that make a member, by the folder they lie in.
macro_rules! member {
    ($name:literal, $folder:literal) => {
        Inside {
            name: $name,
            files: &[
                ("config.json", include_bytes!(concat!($folder, "/config.json"))),
                (
                    "generation_config.json",
                    include_bytes!(concat!($folder, "/generation_config.json")),
                ),
                ("model.safetensors", include_bytes!(concat!($folder, "/model.safetensors"))),
                ("tokenizer.json", include_bytes!(concat!($folder, "/tokenizer.json"))),
                (
                    "tokenizer_config.json",
                    include_bytes!(concat!($folder, "/tokenizer_config.json")),
                ),
            ],
        }
    };
}

static MEMBERS: [Inside; 3] = [
    member!("demo:llama", "llama"),
    member!("demo:mixtral", "mixtral"),
    member!("demo:judge", "judge"),
];

/// What a recipe writes before a member's name.
const SCHEME: &str = "demo:";

/// The member `demo:NAME`.
pub fn member(name: &str) -> Option<&'static Inside> {
    MEMBERS.iter().find(|member| member.name.strip_prefix(SCHEME) == Some(name))
}

/// The names of all members, without `demo:`.
pub fn names() -> Vec<&'static str> {
    MEMBERS.iter().filter_map(|member| member.name.strip_prefix(SCHEME)).collect()
}
