//! One kernel of a module: its parameters, its memory and its instructions.

use std::collections::HashMap;

use super::decode::decode;
use super::op::{Flow, Instruction, Op, Space};
use super::operand::Names;
use super::text::{Statement, statements};
use crate::fault::Fault;

/// Registers that the card fills before a thread starts; they are the first of every function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Special {
    ThreadX,
    ThreadY,
    ThreadZ,
    ThreadsX,
    ThreadsY,
    ThreadsZ,
    BlockX,
    BlockY,
    BlockZ,
    BlocksX,
    BlocksY,
    BlocksZ,
    Lane,
    WarpSize,
}

impl Special {
    /// With their names, in the order of their registers.
    pub(crate) const ALL: [(Self, &'static str); 14] = [
        (Self::ThreadX, "%tid.x"),
        (Self::ThreadY, "%tid.y"),
        (Self::ThreadZ, "%tid.z"),
        (Self::ThreadsX, "%ntid.x"),
        (Self::ThreadsY, "%ntid.y"),
        (Self::ThreadsZ, "%ntid.z"),
        (Self::BlockX, "%ctaid.x"),
        (Self::BlockY, "%ctaid.y"),
        (Self::BlockZ, "%ctaid.z"),
        (Self::BlocksX, "%nctaid.x"),
        (Self::BlocksY, "%nctaid.y"),
        (Self::BlocksZ, "%nctaid.z"),
        (Self::Lane, "%laneid"),
        (Self::WarpSize, "WARP_SZ"),
    ];
}

/// A kernel, ready to run.
pub(crate) struct Function {
    pub(crate) name: String,
    /// Offset and bytes of each parameter, in the order of the signature.
    pub(crate) params: Vec<(usize, usize)>,
    pub(crate) n_param_bytes: usize,
    pub(crate) n_registers: usize,
    pub(crate) n_predicates: usize,
    /// Shared memory that the kernel declares itself.
    pub(crate) n_shared_bytes: usize,
    /// Memory of each thread.
    pub(crate) n_local_bytes: usize,
    /// Most threads of a block, if the kernel says so.
    pub(crate) n_threads_max: Option<u32>,
    pub(crate) code: Vec<Instruction>,
}

/// Places for variables of one space, one behind the other.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Places {
    pub(super) n_bytes: usize,
}

impl Places {
    /// Where a variable of `n_bytes` lies.
    pub(super) fn take(&mut self, n_bytes: usize, alignment: usize) -> usize {
        let at = self.n_bytes.next_multiple_of(alignment.max(1));
        self.n_bytes = at + n_bytes;
        at
    }
}

/// A variable as it is declared: `.align 16 .b8 name[128]` or `.u32 name`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Declared<'a> {
    pub(super) name: &'a str,
    pub(super) n_bytes: usize,
    /// Of one element.
    pub(super) n_element_bytes: usize,
    pub(super) alignment: usize,
}

impl<'a> Declared<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, Fault> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let name = words.last().copied().unwrap_or_default();
        let kind =
            words.iter().rev().skip(1).find_map(|word| element_bytes(word.strip_prefix('.')?));
        let size = kind.ok_or_else(|| Fault::new(format!("{text:?} declares nothing")))?;
        let alignment = words.iter().position(|word| *word == ".align");
        let alignment = alignment.and_then(|at| words.get(at + 1)?.parse().ok()).unwrap_or(size);
        let (name, length) = match name.split_once('[') {
            Some((name, length)) => (name, length.trim_end_matches(']').parse().unwrap_or(0)),
            None => (name, 1),
        };
        Ok(Self { name, n_bytes: size * length, n_element_bytes: size, alignment })
    }
}

/// Bytes of a type.
pub(super) fn element_bytes(kind: &str) -> Option<usize> {
    let digits = kind.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let bits: usize = digits.parse().ok()?;
    ["u", "s", "b", "f", "bf"].contains(&&kind[..kind.len() - digits.len()]).then_some(bits / 8)
}

impl Function {
    /// Reads a function: its name, what stands between its parentheses, what follows them, its body.
    pub(super) fn read(
        name: &str,
        params: &str,
        directives: &str,
        body_text: &str,
        globals: &HashMap<String, u64>,
        extern_shared: &[String],
    ) -> Result<Self, Fault> {
        let mut names = Names::new(globals.iter().map(|(name, at)| (name.clone(), *at)));
        let mut places = Places::default();
        let mut offsets = Vec::new();
        for param in params.split(',').map(str::trim).filter(|param| !param.is_empty()) {
            let declared = Declared::read(param)?;
            let at = places.take(declared.n_bytes, declared.alignment);
            offsets.push((at, declared.n_bytes));
            names.variable(declared.name, at as u64);
        }
        let mut body = Body::new(names, extern_shared);
        body.read(&statements(body_text))?;
        Ok(Self {
            name: name.to_owned(),
            params: offsets,
            n_param_bytes: places.n_bytes,
            n_registers: body.names.n_registers,
            n_predicates: body.names.n_predicates,
            n_shared_bytes: body.shared.n_bytes,
            n_local_bytes: body.local.n_bytes,
            n_threads_max: n_threads_max(directives),
            code: body.code,
        })
    }
}

/// `.maxntid 256, 1, 1`.
fn n_threads_max(directives: &str) -> Option<u32> {
    let rest = directives.split_once(".maxntid")?.1;
    let counts =
        rest.split(['.', '\n']).next()?.split(',').map(|count| count.trim().parse::<u32>());
    counts.filter_map(Result::ok).reduce(|product, count| product * count)
}

/// A body while it is read.
struct Body<'a> {
    names: Names,
    shared: Places,
    local: Places,
    /// Names of the shared memory whose length the launch says.
    extern_shared: &'a [String],
    labels: HashMap<&'a str, usize>,
    /// Branches and the labels that they want.
    branches: Vec<(usize, &'a str)>,
    code: Vec<Instruction>,
}

impl<'a> Body<'a> {
    fn new(names: Names, extern_shared: &'a [String]) -> Self {
        Self {
            names,
            shared: Places::default(),
            local: Places::default(),
            extern_shared,
            labels: HashMap::new(),
            branches: Vec::new(),
            code: Vec::new(),
        }
    }

    fn read(&mut self, statements: &[Statement<'a>]) -> Result<(), Fault> {
        // Shared memory first: what the launch adds begins behind all that the kernel declares.
        for statement in statements {
            if let Statement::Text(text) = statement {
                self.declare(text).map_err(|fault| fault.at(text))?;
            }
        }
        let end = self.shared.n_bytes.next_multiple_of(16) as u64;
        self.shared.n_bytes = end as usize;
        for name in self.extern_shared {
            self.names.variable(name, end);
        }
        for statement in statements {
            match statement {
                Statement::Open => self.names.open(),
                Statement::Close => self.names.close(),
                Statement::Label(name) => {
                    self.labels.insert(name, self.code.len());
                }
                Statement::Text(text) => self.statement(text),
            }
        }
        for (at, label) in std::mem::take(&mut self.branches) {
            let target = self.labels.get(label).copied();
            let target = target.ok_or_else(|| Fault::new(format!("no label {label}")))?;
            self.code[at].op = Op::Flow(Flow::Branch { target });
        }
        self.code.push(Instruction {
            guard: None,
            op: Op::Flow(Flow::Exit),
            text: "end".to_owned(),
        });
        Ok(())
    }

    fn declare(&mut self, text: &str) -> Result<(), Fault> {
        for (directive, space) in [(".shared", Space::Shared), (".local", Space::Local)] {
            let Some(rest) = text.strip_prefix(directive) else { continue };
            let declared = Declared::read(rest)?;
            let places = if space == Space::Shared { &mut self.shared } else { &mut self.local };
            let at = places.take(declared.n_bytes, declared.alignment);
            self.names.variable(declared.name, at as u64);
        }
        Ok(())
    }

    fn statement(&mut self, text: &'a str) {
        if let Some(rest) = text.strip_prefix(".reg") {
            let rest = rest.trim();
            let (kind, names) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            self.names.registers(names, kind == ".pred");
        }
        if text.starts_with('.') || text.is_empty() {
            return;
        }
        let (guard, rest) = match text.strip_prefix('@') {
            Some(rest) => rest
                .split_once(char::is_whitespace)
                .map_or((None, rest), |(guard, rest)| (Some(guard), rest.trim())),
            None => (None, text),
        };
        let guard = guard.map(|guard| self.names.predicate(guard)).transpose();
        let label = rest.split_whitespace().nth(1).filter(|_| rest.starts_with("bra"));
        let op = if let Some(label) = label {
            self.branches.push((self.code.len(), label));
            Op::Flow(Flow::Nothing)
        } else {
            decode(rest, &mut self.names).unwrap_or(Op::Flow(Flow::Unknown))
        };
        // A guard that is not known makes an instruction that is not.
        let (guard, op) = guard.map_or((None, Op::Flow(Flow::Unknown)), |guard| (guard, op));
        self.code.push(Instruction { guard, op, text: text.to_owned() });
    }
}
