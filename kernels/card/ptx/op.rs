//! What instructions are: operands, addresses, and what is done with them.

use super::bits::Lanes;
use super::lanes::{Compare, One, Three, Two};

/// Where an operand's lanes come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A register of this number.
    Register(usize),
    /// The same number for every lane.
    Same(Box<Lanes>),
}

/// A predicate as an operand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Predicate {
    pub(crate) register: usize,
    pub(crate) negated: bool,
}

/// Which memory an address means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    Global,
    Shared,
    Local,
    Param,
}

/// An address: a base and what is added to it.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// Without one the address itself says where it is.
    pub(crate) space: Option<Space>,
    pub(crate) base: Source,
    pub(crate) offset: i64,
}

/// The bytes of one element, and whether they are a signed number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) n_bytes: usize,
    pub(crate) signed: bool,
}

/// Which lane a shuffle reads from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shuffle {
    Up,
    Down,
    Butterfly,
    Index,
}

/// What tensor cores multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Factors {
    /// 16 half floats, summed in f32.
    F16,
    /// 16 brain floats, summed in f32.
    Bf16,
    /// 32 bytes, summed in s32.
    S8,
}

/// What a vote asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vote {
    All,
    Any,
    Ballot,
}

/// Joins the old value of a place with that of a lane.
pub(crate) type Join = Box<dyn Fn(u64, u64, u64) -> u64 + Send + Sync>;

/// Joins masks of lanes.
pub(crate) type JoinMasks = fn(u32, u32) -> u32;

/// What an instruction does.
pub(crate) enum Op {
    Flow(Flow),
    Compute(Compute),
    Transfer(Transfer),
    Together(Together),
}

/// Where a thread goes on.
pub(crate) enum Flow {
    Branch {
        target: usize,
    },
    Exit,
    /// A barrier of the block.
    Barrier,
    /// Nothing to do where everything is done in order.
    Nothing,
    /// An instruction that the card does not know.
    Unknown,
}

/// From registers to registers, each lane for itself. Targets come first, `None` for what is thrown
/// away.
pub(crate) enum Compute {
    Move {
        to: usize,
        from: Source,
    },
    One {
        run: One,
        to: usize,
        a: Source,
    },
    Two {
        run: Two,
        to: usize,
        a: Source,
        b: Source,
    },
    Three {
        run: Three,
        to: usize,
        a: Source,
        b: Source,
        c: Source,
    },
    /// `setp`: the answer, and its opposite, each joined with a predicate.
    Compare {
        run: Compare,
        to: usize,
        opposite: Option<usize>,
        a: Source,
        b: Source,
        with: Option<(JoinMasks, Predicate)>,
    },
    /// Of predicates as masks of lanes.
    Logic {
        run: JoinMasks,
        to: usize,
        a: Predicate,
        b: Predicate,
    },
    /// `mov.pred` of a constant.
    Constant {
        to: usize,
        value: bool,
    },
    Select {
        to: usize,
        a: Source,
        b: Source,
        which: Predicate,
    },
    /// `mov` of several registers into one, the lowest bits first.
    Pack {
        to: usize,
        from: Vec<Source>,
        n_bits: u32,
    },
    Unpack {
        to: Vec<Option<usize>>,
        from: Source,
        n_bits: u32,
    },
}

/// Between registers and memory, or from memory to memory.
pub(crate) enum Transfer {
    Load {
        to: Vec<Option<usize>>,
        element: Element,
        from: Address,
    },
    Store {
        to: Address,
        element: Element,
        from: Vec<Source>,
    },
    Atomic {
        old: Option<usize>,
        at: Address,
        element: Element,
        b: Source,
        c: Source,
        join: Join,
    },
    CopyAsync {
        to: Address,
        from: Address,
        n_bytes: usize,
        n_read: Option<Source>,
    },
    CopyCommit,
    /// Until at most so many groups are under way.
    CopyWait {
        n_left: usize,
    },
}

/// What lanes of a warp do with one another.
pub(crate) enum Together {
    /// A barrier of these lanes.
    Barrier {
        members: Source,
    },
    Shuffle {
        to: usize,
        found: Option<usize>,
        kind: Shuffle,
        a: Source,
        b: Source,
        clamp: Source,
        members: Source,
    },
    Vote {
        kind: Vote,
        to: usize,
        asked: Predicate,
        members: Source,
    },
    /// The lanes that are at the same place.
    Active {
        to: usize,
    },
    LoadMatrices {
        to: Vec<usize>,
        from: Address,
        transposed: bool,
    },
    /// Tensor cores: `[16, k]` by `[k, 8]`, added to `[16, 8]`.
    Multiply {
        to: [usize; 4],
        a: [usize; 4],
        b: [usize; 2],
        c: [Source; 4],
        factors: Factors,
    },
}

/// An instruction with the predicate that guards it.
pub(crate) struct Instruction {
    pub(crate) guard: Option<Predicate>,
    pub(crate) op: Op,
    /// As it was written.
    pub(crate) text: String,
}
