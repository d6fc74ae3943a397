//! A module: its functions by name, read when one is asked for, and its variables in memory.

use std::collections::HashMap;
use std::sync::Arc;

use super::function::{Declared, Function};
use super::text::without_comments;
use crate::fault::Fault;
use crate::memory;

/// A function that nobody has asked for yet.
struct Unread {
    params: String,
    directives: String,
    body: String,
}

/// A module as the driver holds it.
#[derive(Default)]
pub(crate) struct Module {
    unread: HashMap<String, Unread>,
    read: HashMap<String, Arc<Function>>,
    /// Addresses of the variables that it declares.
    globals: HashMap<String, u64>,
    extern_shared: Vec<String>,
}

impl Module {
    /// Finds the parts of a module.
    pub(crate) fn read(source: &str) -> Result<Self, Fault> {
        let source = without_comments(source);
        let mut module = Self::default();
        let mut rest = source.as_str();
        while let Some(start) = rest.find('.') {
            rest = &rest[start..];
            let end = rest.find(['\n', ';', '{', '(', '=']).unwrap_or(rest.len());
            let words: Vec<&str> = rest[..end].split_whitespace().collect();
            let is = |word| words.contains(&word);
            if is(".entry") || is(".func") {
                rest = module.part(rest);
            } else if is(".global") || is(".const") {
                let end = rest.find(';').unwrap_or(rest.len());
                module.variable(&rest[..end]).map_err(|fault| fault.at(&rest[..end]))?;
                rest = &rest[end..];
            } else {
                if is(".shared") {
                    let name = words.last().and_then(|name| name.split('[').next());
                    module.extern_shared.extend(name.map(str::to_owned));
                }
                rest = &rest[end..];
            }
        }
        Ok(module)
    }

    /// Keeps the text of the function that `text` begins with; what follows it.
    fn part<'a>(&mut self, text: &'a str) -> &'a str {
        let end_of_name = text.find(".entry").map_or(0, |at| at + ".entry".len());
        let is_declaration = match (text.find(';'), text.find('{')) {
            (Some(end), Some(body)) => end < body,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if is_declaration {
            return &text[text.find(';').unwrap_or(text.len())..];
        }
        let open = text.find('{').unwrap_or(text.len());
        let (head, rest) = text.split_at(open);
        let end = end_of_body(rest);
        if end_of_name > 0 && end_of_name < open {
            let head = &head[end_of_name..];
            let (name, params) = head.split_once('(').unwrap_or((head, ""));
            let (params, directives) = params.split_once(')').unwrap_or(("", params));
            let body = rest[..end].trim_start_matches('{').trim_end_matches('}').to_owned();
            let unread =
                Unread { params: params.to_owned(), directives: directives.to_owned(), body };
            self.unread.insert(name.trim().to_owned(), unread);
        }
        &rest[end..]
    }

    /// Puts a variable into memory: `.global .align 4 .b8 name[8] = {1, 2, ..}`.
    fn variable(&mut self, text: &str) -> Result<(), Fault> {
        let (head, values) = text.split_once('=').unwrap_or((text, ""));
        let declared = Declared::read(head.trim())?;
        let start = memory::allocate(declared.n_bytes);
        let start = start.ok_or_else(|| Fault::new("no memory for a variable"))?;
        let values = values.trim().trim_start_matches('{').trim_end_matches('}');
        let values = values.split(',').map(|value| value.trim().parse::<u64>());
        let mut bytes = vec![0; declared.n_bytes];
        for (place, value) in bytes.chunks_mut(declared.n_element_bytes).zip(values) {
            // A name stands for an address, which only the text of an assertion wants.
            place.copy_from_slice(&value.unwrap_or(0).to_le_bytes()[..place.len()]);
        }
        // SAFETY: as many bytes were just allocated.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), start as *mut u8, bytes.len()) };
        self.globals.insert(declared.name.to_owned(), start as u64);
        Ok(())
    }

    /// The kernel of this name.
    pub(crate) fn function(&mut self, name: &str) -> Result<Arc<Function>, Fault> {
        if let Some(function) = self.read.get(name) {
            return Ok(Arc::clone(function));
        }
        let unread = self.unread.get(name);
        let unread = unread.ok_or_else(|| Fault::new(format!("no kernel {name}")))?;
        let Unread { params, directives, body } = unread;
        let (globals, shared) = (&self.globals, &self.extern_shared);
        let function = Function::read(name, params, directives, body, globals, shared);
        let function = Arc::new(function.map_err(|fault| fault.at(name))?);
        self.read.insert(name.to_owned(), Arc::clone(&function));
        Ok(function)
    }
}

/// The bytes of a text that begins with `{`, up to the brace that closes it.
fn end_of_body(text: &str) -> usize {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}
