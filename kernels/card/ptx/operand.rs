//! Operands: names of registers and variables, numbers, addresses, groups in braces.

use std::collections::HashMap;

use super::function::Special;
use super::op::{Address, Predicate, Source, Space};
use crate::fault::Fault;

/// What a name in a function means.
#[derive(Debug, Clone, Copy)]
enum Meaning {
    Register(usize),
    Predicate(usize),
    /// Where a variable lies in its space.
    Variable(u64),
}

/// The names that are known at a place of a function.
pub(super) struct Names {
    scopes: Vec<HashMap<String, Meaning>>,
    /// Beginnings of names that were declared by number, and whether they are predicates.
    numbered: Vec<(String, bool)>,
    pub(super) n_registers: usize,
    pub(super) n_predicates: usize,
}

impl Names {
    pub(super) fn new(variables: impl IntoIterator<Item = (String, u64)>) -> Self {
        let specials = Special::ALL.iter().enumerate();
        let specials = specials.map(|(at, (_, name))| ((*name).to_owned(), Meaning::Register(at)));
        let variables = variables.into_iter().map(|(name, at)| (name, Meaning::Variable(at)));
        Self {
            scopes: vec![specials.chain(variables).collect()],
            numbered: Vec::new(),
            n_registers: Special::ALL.len(),
            n_predicates: 0,
        }
    }

    pub(super) fn open(&mut self) {
        self.scopes.push(HashMap::new());
    }

    pub(super) fn close(&mut self) {
        self.scopes.pop();
    }

    pub(super) fn variable(&mut self, name: &str, at: u64) {
        self.declare(name, Meaning::Variable(at));
    }

    /// `%r<9>` or a list of names.
    pub(super) fn registers(&mut self, names: &str, predicates: bool) {
        for name in names.split(',').map(str::trim) {
            if let Some((beginning, _)) = name.split_once('<') {
                self.numbered.push((beginning.to_owned(), predicates));
            } else {
                let meaning = self.fresh(predicates);
                self.declare(name, meaning);
            }
        }
    }

    fn fresh(&mut self, predicate: bool) -> Meaning {
        if predicate {
            self.n_predicates += 1;
            Meaning::Predicate(self.n_predicates - 1)
        } else {
            self.n_registers += 1;
            Meaning::Register(self.n_registers - 1)
        }
    }

    fn declare(&mut self, name: &str, meaning: Meaning) {
        self.scopes.last_mut().expect("a function has a scope").insert(name.to_owned(), meaning);
    }

    fn find(&mut self, name: &str) -> Result<Meaning, Fault> {
        if let Some(meaning) = self.scopes.iter().rev().find_map(|scope| scope.get(name)) {
            return Ok(*meaning);
        }
        let beginning = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let declared = self.numbered.iter().find(|(declared, _)| declared == beginning);
        let Some(&(_, predicate)) = declared else {
            return Err(Fault::new(format!("{name} is not declared")));
        };
        let meaning = self.fresh(predicate);
        self.scopes[0].insert(name.to_owned(), meaning);
        Ok(meaning)
    }

    /// A register to write; `None` for `_`.
    pub(super) fn target(&mut self, name: &str) -> Result<Option<usize>, Fault> {
        if name == "_" {
            return Ok(None);
        }
        match self.find(name)? {
            Meaning::Register(register) => Ok(Some(register)),
            Meaning::Predicate(_) | Meaning::Variable(_) => {
                Err(Fault::new(format!("{name} is not a register")))
            }
        }
    }

    pub(super) fn register(&mut self, name: &str) -> Result<usize, Fault> {
        self.target(name)?.ok_or_else(|| Fault::new("a register is wanted"))
    }

    pub(super) fn predicate(&mut self, name: &str) -> Result<Predicate, Fault> {
        let (negated, name) = match name.strip_prefix('!') {
            Some(name) => (true, name),
            None => (false, name),
        };
        match self.find(name)? {
            Meaning::Predicate(register) => Ok(Predicate { register, negated }),
            Meaning::Register(_) | Meaning::Variable(_) => {
                Err(Fault::new(format!("{name} is not a predicate")))
            }
        }
    }

    /// A register, a variable's address or a number.
    pub(super) fn source(&mut self, text: &str) -> Result<Source, Fault> {
        if let Some(number) = number(text) {
            return Ok(Source::Same(Box::new([number; 32])));
        }
        let (name, offset) = split_offset(text)?;
        match self.find(name)? {
            Meaning::Register(register) if offset == 0 => Ok(Source::Register(register)),
            Meaning::Variable(at) => {
                Ok(Source::Same(Box::new([at.wrapping_add_signed(offset); 32])))
            }
            Meaning::Register(_) | Meaning::Predicate(_) => {
                Err(Fault::new(format!("{text} is no operand")))
            }
        }
    }

    pub(super) fn sources(&mut self, text: &str) -> Result<Vec<Source>, Fault> {
        group(text).into_iter().map(|text| self.source(text)).collect()
    }

    pub(super) fn targets(&mut self, text: &str) -> Result<Vec<Option<usize>>, Fault> {
        group(text).into_iter().map(|text| self.target(text)).collect()
    }

    /// The registers of a group of exactly `N`.
    pub(super) fn several<const N: usize>(&mut self, text: &str) -> Result<[usize; N], Fault> {
        let found: Result<Vec<usize>, Fault> =
            group(text).into_iter().map(|text| self.register(text)).collect();
        found?.try_into().map_err(|_| Fault::new(format!("{text} has not {N} registers")))
    }

    pub(super) fn address(&mut self, text: &str, space: Option<Space>) -> Result<Address, Fault> {
        let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let inner = inner.ok_or_else(|| Fault::new(format!("{text} is no address")))?.trim();
        if let Some(number) = number(inner) {
            return Ok(Address { space, base: Source::Same(Box::new([number; 32])), offset: 0 });
        }
        let (base, offset) = split_offset(inner)?;
        Ok(Address { space, base: self.source(base)?, offset })
    }
}

/// The parts of `{a, b}`, or the one that it is.
fn group(text: &str) -> Vec<&str> {
    let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    inner.split(',').map(str::trim).collect()
}

/// `name+4` or `name+-4`.
fn split_offset(text: &str) -> Result<(&str, i64), Fault> {
    let Some((name, offset)) = text.split_once('+') else { return Ok((text, 0)) };
    let offset =
        number(offset.trim()).ok_or_else(|| Fault::new(format!("{offset} is no number")))?;
    Ok((name.trim(), offset as i64))
}

/// `12`, `-12`, `0x1F`, `12U`, `0f3F800000` (an f32), `0d3FF0000000000000` (an f64).
pub(super) fn number(text: &str) -> Option<u64> {
    let hexadecimal = |digits: &str| u64::from_str_radix(digits, 16).ok();
    if let Some("0f" | "0F" | "0d" | "0D" | "0x" | "0X") = text.get(..2) {
        return hexadecimal(text[2..].trim_end_matches('U'));
    }
    let digits = text.trim_end_matches('U');
    match digits.strip_prefix('-') {
        Some(digits) => digits.parse::<u64>().ok().map(u64::wrapping_neg),
        None => digits.parse().ok(),
    }
}
