//! PTX, read: a module's functions and variables, and a function's instructions, ready to run.
//!
//! Reads what nvcc writes for the kernels here; what it does not know becomes an instruction that
//! fails when it is run, for much of a module never is. After "PTX ISA 9.0" (NVIDIA).

mod arithmetic;
mod bits;
mod convert;
mod decode;
mod function;
mod lanes;
mod module;
mod op;
mod operand;
mod text;

pub(crate) use bits::Lanes;
pub(crate) use function::{Function, Special};
pub(crate) use module::Module;
pub(crate) use op::{
    Address, Compute, Element, Factors, Flow, Op, Predicate, Shuffle, Source, Space, Together,
    Transfer, Vote,
};
