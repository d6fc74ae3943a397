//! Instructions: from their text to what they do.

use super::convert::Rounding;
use super::function::element_bytes;
use super::lanes::{One, Three, Two, one, two};
use super::op::{
    Compute, Element, Factors, Flow, JoinMasks, Op, Predicate, Shuffle, Source, Space, Together,
    Transfer, Vote,
};
use super::operand::Names;
use super::text::operands;
use super::{arithmetic, convert};
use crate::fault::Fault;

/// What an instruction without its guard does.
pub(super) fn decode(text: &str, names: &mut Names) -> Result<Op, Fault> {
    let (name, args) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let words: Vec<&str> = name.split('.').collect();
    let args = operands(args.trim());
    let found = Decoder { words: &words, args: &args, names }.decode()?;
    found.ok_or_else(|| Fault::new(format!("{text} is not known")))
}

struct Decoder<'a> {
    /// `add`, `s32`.
    words: &'a [&'a str],
    args: &'a [&'a str],
    names: &'a mut Names,
}

type Decoded = Result<Option<Op>, Fault>;

impl<'a> Decoder<'a> {
    fn decode(mut self) -> Decoded {
        let kind = *self.words.last().expect("a text has a first word");
        match self.words[0] {
            "mov" => self.mov(kind),
            "cvta" => self.address_of(),
            "ld" | "st" => self.transfer(kind),
            "setp" => self.compare(kind),
            "selp" => self.select(),
            "and" | "or" | "xor" | "not" if kind == "pred" => self.logic(),
            "cvt" if self.args.len() == 3 => {
                convert::pack(self.words[self.words.len() - 2]).map(|run| self.two(run)).transpose()
            }
            "cvt" => convert::convert(&self.words[1..]).map(|run| self.one(run)).transpose(),
            "ret" | "exit" => Ok(Some(Op::Flow(Flow::Exit))),
            "bar" | "barrier" => self.barrier(),
            "membar" | "fence" | "prefetch" | "nanosleep" => Ok(Some(Op::Flow(Flow::Nothing))),
            "shfl" => self.shuffle(),
            "vote" => self.vote(),
            "activemask" => Ok(Some(Op::Together(Together::Active { to: self.to()? }))),
            "cp" => self.copy(),
            "ldmatrix" => self.load_matrices(),
            "mma" => self.multiply(),
            "atom" | "red" => self.atomic(kind),
            _ => self.arithmetic(kind),
        }
    }

    fn is(&self, word: &str) -> bool {
        self.words.contains(&word)
    }

    fn arg(&self, at: usize) -> Result<&'a str, Fault> {
        self.args.get(at).copied().ok_or_else(|| Fault::new("an operand is missing"))
    }

    fn to(&mut self) -> Result<usize, Fault> {
        self.names.register(self.arg(0)?)
    }

    /// `a|p`: a name, and a predicate if one is wanted.
    fn two_targets(&mut self) -> Result<(&'a str, Option<usize>), Fault> {
        let both = self.arg(0)?;
        match both.split_once('|') {
            None | Some((_, "_")) => Ok((both.trim_end_matches("|_"), None)),
            Some((to, predicate)) => Ok((to, Some(self.names.predicate(predicate)?.register))),
        }
    }

    fn source(&mut self, at: usize) -> Result<Source, Fault> {
        self.names.source(self.arg(at)?)
    }

    fn predicate(&mut self, at: usize) -> Result<Predicate, Fault> {
        self.names.predicate(self.arg(at)?)
    }

    fn one(&mut self, run: One) -> Result<Op, Fault> {
        Ok(Op::Compute(Compute::One { run, to: self.to()?, a: self.source(1)? }))
    }

    fn two(&mut self, run: Two) -> Result<Op, Fault> {
        Ok(Op::Compute(Compute::Two {
            run,
            to: self.to()?,
            a: self.source(1)?,
            b: self.source(2)?,
        }))
    }

    fn three(&mut self, run: Three) -> Result<Op, Fault> {
        let (a, b, c) = (self.source(1)?, self.source(2)?, self.source(3)?);
        Ok(Op::Compute(Compute::Three { run, to: self.to()?, a, b, c }))
    }

    fn mov(&mut self, kind: &str) -> Decoded {
        let (to, from) = (self.arg(0)?, self.arg(1)?);
        let n_bits = element_bytes(kind).map_or(0, |bytes| bytes as u32 * 8);
        if kind == "pred" {
            let to = self.predicate(0)?.register;
            if let Some(value) = super::operand::number(from) {
                return Ok(Some(Op::Compute(Compute::Constant { to, value: value != 0 })));
            }
            let a = self.predicate(1)?;
            return Ok(Some(Op::Compute(Compute::Logic { run: |a, _| a, to, a, b: a })));
        }
        if from.starts_with('{') {
            let from = self.names.sources(from)?;
            let n_bits = n_bits / from.len() as u32;
            return Ok(Some(Op::Compute(Compute::Pack { to: self.to()?, from, n_bits })));
        }
        if to.starts_with('{') {
            let to = self.names.targets(to)?;
            let n_bits = n_bits / to.len() as u32;
            return Ok(Some(Op::Compute(Compute::Unpack { to, from: self.source(1)?, n_bits })));
        }
        Ok(Some(Op::Compute(Compute::Move { to: self.to()?, from: self.source(1)? })))
    }

    /// `cvta`: an address of one space as one that all instructions take, or back.
    fn address_of(&mut self) -> Decoded {
        let window = if self.is("shared") {
            crate::run::SHARED_WINDOW
        } else if self.is("local") {
            crate::run::LOCAL_WINDOW
        } else {
            0
        };
        let back = self.is("to");
        let run =
            one(move |a: u64| if back { a.wrapping_sub(window) } else { a.wrapping_add(window) });
        self.one(run).map(Some)
    }

    fn space(&self) -> Option<Space> {
        let spaces = [
            ("global", Space::Global),
            ("const", Space::Global),
            ("shared", Space::Shared),
            ("local", Space::Local),
            ("param", Space::Param),
        ];
        spaces.into_iter().find(|(name, _)| self.is(name)).map(|(_, space)| space)
    }

    fn transfer(&mut self, kind: &str) -> Decoded {
        let Some(n_bytes) = element_bytes(kind) else { return Ok(None) };
        let element = Element { n_bytes, signed: kind.starts_with('s') };
        let (first, second) = (self.arg(0)?, self.arg(1)?);
        let space = self.space();
        if self.words[0] == "ld" {
            let to = self.names.targets(first)?;
            return Ok(Some(Op::Transfer(Transfer::Load {
                to,
                element,
                from: self.names.address(second, space)?,
            })));
        }
        if space == Some(Space::Param) {
            return Ok(None);
        }
        let from = self.names.sources(second)?;
        Ok(Some(Op::Transfer(Transfer::Store {
            to: self.names.address(first, space)?,
            element,
            from,
        })))
    }

    fn compare(&mut self, kind: &str) -> Decoded {
        let Some(run) = arithmetic::comparison(self.words[1], kind) else { return Ok(None) };
        let (to, opposite) = self.two_targets()?;
        let joins: [(&str, JoinMasks); 3] =
            [("and", |a, b| a & b), ("or", |a, b| a | b), ("xor", |a, b| a ^ b)];
        let with = match joins.into_iter().find(|(name, _)| self.is(name)) {
            Some((_, join)) => Some((join, self.predicate(3)?)),
            None => None,
        };
        let to = self.names.predicate(to)?.register;
        let (a, b) = (self.source(1)?, self.source(2)?);
        Ok(Some(Op::Compute(Compute::Compare { run, to, opposite, a, b, with })))
    }

    fn select(&mut self) -> Decoded {
        let (a, b, which) = (self.source(1)?, self.source(2)?, self.predicate(3)?);
        Ok(Some(Op::Compute(Compute::Select { to: self.to()?, a, b, which })))
    }

    fn logic(&mut self) -> Decoded {
        let to = self.predicate(0)?.register;
        let a = self.predicate(1)?;
        let (run, b): (JoinMasks, _) = match self.words[0] {
            "not" => (|a, _| !a, a),
            "and" => (|a, b| a & b, self.predicate(2)?),
            "or" => (|a, b| a | b, self.predicate(2)?),
            _ => (|a, b| a ^ b, self.predicate(2)?),
        };
        Ok(Some(Op::Compute(Compute::Logic { run, to, a, b })))
    }

    fn barrier(&mut self) -> Decoded {
        if self.is("warp") {
            return Ok(Some(Op::Together(Together::Barrier { members: self.source(0)? })));
        }
        // A barrier of a part of the block is used by no kernel here.
        Ok((self.is("sync") && self.args == ["0"]).then_some(Op::Flow(Flow::Barrier)))
    }

    fn shuffle(&mut self) -> Decoded {
        let kinds = [
            ("up", Shuffle::Up),
            ("down", Shuffle::Down),
            ("bfly", Shuffle::Butterfly),
            ("idx", Shuffle::Index),
        ];
        let Some((_, kind)) = kinds.into_iter().find(|(name, _)| self.is(name)) else {
            return Ok(None);
        };
        let (to, found) = self.two_targets()?;
        Ok(Some(Op::Together(Together::Shuffle {
            to: self.names.register(to)?,
            found,
            kind,
            a: self.source(1)?,
            b: self.source(2)?,
            clamp: self.source(3)?,
            members: self.source(4)?,
        })))
    }

    fn vote(&mut self) -> Decoded {
        let kinds = [("all", Vote::All), ("any", Vote::Any), ("ballot", Vote::Ballot)];
        let Some((_, kind)) = kinds.into_iter().find(|(name, _)| self.is(name)) else {
            return Ok(None);
        };
        let to = if kind == Vote::Ballot { self.to()? } else { self.predicate(0)?.register };
        let (asked, members) = (self.predicate(1)?, self.source(2)?);
        Ok(Some(Op::Together(Together::Vote { kind, to, asked, members })))
    }

    fn copy(&mut self) -> Decoded {
        if self.words[1] != "async" {
            return Ok(None);
        }
        if self.is("commit_group") {
            return Ok(Some(Op::Transfer(Transfer::CopyCommit)));
        }
        if self.is("wait_group") || self.is("wait_all") {
            let n_left = if self.is("wait_all") { "0" } else { self.arg(0)? };
            return Ok(n_left
                .parse()
                .ok()
                .map(|n_left| Op::Transfer(Transfer::CopyWait { n_left })));
        }
        let (to, from) = (self.arg(0)?, self.arg(1)?);
        let n_bytes = self.arg(2)?.parse().map_err(|_| Fault::new("no number of bytes"))?;
        let n_read = if self.args.len() > 3 { Some(self.source(3)?) } else { None };
        let to = self.names.address(to, Some(Space::Shared))?;
        let from = self.names.address(from, Some(Space::Global))?;
        Ok(Some(Op::Transfer(Transfer::CopyAsync { to, from, n_bytes, n_read })))
    }

    fn load_matrices(&mut self) -> Decoded {
        if !(self.is("m8n8") && self.is("b16")) {
            return Ok(None);
        }
        let (to, from) = (self.arg(0)?, self.arg(1)?);
        let to: Option<Vec<usize>> = self.names.targets(to)?.into_iter().collect();
        let Some(to) = to else { return Ok(None) };
        let from = self.names.address(from, self.space())?;
        Ok(Some(Op::Together(Together::LoadMatrices { to, from, transposed: self.is("trans") })))
    }

    fn multiply(&mut self) -> Decoded {
        let known = [
            (["m16n8k16", "row", "col", "f32", "f16", "f16", "f32"], Factors::F16),
            (["m16n8k16", "row", "col", "f32", "bf16", "bf16", "f32"], Factors::Bf16),
            (["m16n8k32", "row", "col", "s32", "s8", "s8", "s32"], Factors::S8),
        ];
        let found = known.into_iter().find(|(words, _)| self.words.ends_with(words));
        let Some((_, factors)) = found else { return Ok(None) };
        let &[to, a, b, c] = self.args else { return Ok(None) };
        let c =
            self.names.sources(c)?.try_into().map_err(|_| Fault::new("four sums are wanted"))?;
        Ok(Some(Op::Together(Together::Multiply {
            to: self.names.several(to)?,
            a: self.names.several(a)?,
            b: self.names.several(b)?,
            c,
            factors,
        })))
    }

    fn atomic(&mut self, kind: &str) -> Decoded {
        let Some(n_bytes) = element_bytes(kind) else { return Ok(None) };
        let element = Element { n_bytes, signed: kind.starts_with('s') };
        let what = self.words.iter().find_map(|&word| arithmetic::joined(word, kind));
        let Some(join) = what else { return Ok(None) };
        let returns = usize::from(self.words[0] == "atom");
        let old = if returns == 1 { Some(self.to()?) } else { None };
        let at = self.arg(returns)?;
        let at = self.names.address(at, self.space())?;
        let b = self.source(returns + 1)?;
        let c = if self.is("cas") { self.source(returns + 2)? } else { b.clone() };
        Ok(Some(Op::Transfer(Transfer::Atomic { old, at, element, b, c, join })))
    }

    fn arithmetic(&mut self, kind: &str) -> Decoded {
        let name = self.words[0];
        let rounding = Rounding::of(self.words);
        if let Some(run) = arithmetic::of_one(name, self.words, kind) {
            return self.one(run).map(Some);
        }
        if let Some(run) = arithmetic::of_two(name, self.words, kind, rounding) {
            return self.two(run).map(Some);
        }
        if let Some(run) = arithmetic::of_three(name, self.words, kind, rounding) {
            return self.three(run).map(Some);
        }
        if name == "bfi" {
            return self.insert(kind);
        }
        Ok(None)
    }

    /// `bfi d, a, b, at, n`: the low `n` bits of `a` put into `b`; place and length are constants.
    fn insert(&mut self, kind: &str) -> Decoded {
        let n_bits = element_bytes(kind).map_or(32, |bytes| bytes as u32 * 8);
        let (Ok(at), Ok(n)) = (self.arg(3)?.parse::<u32>(), self.arg(4)?.parse::<u32>()) else {
            return Ok(None);
        };
        let n = n.min(n_bits.saturating_sub(at));
        let field = if n == 64 { u64::MAX } else { ((1 << n) - 1) << at };
        self.two(two(move |a: u64, b: u64| (b & !field) | ((a << at) & field))).map(Some)
    }
}
