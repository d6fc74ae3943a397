//! cuBLAS and cuRAND, as far as candle calls them: products as plain sums, no random numbers.

use std::ffi::{c_int, c_longlong, c_void};
use std::num::NonZero;
use std::thread;

use half::{bf16, f16};

use crate::exports::exports;
use crate::memory;

const SUCCESS: c_int = 0;
const INVALID_VALUE: c_int = 7;
const EXECUTION_FAILED: c_int = 13;
const NOT_SUPPORTED: c_int = 15;
/// `CUBLAS_COMPUTE_32F` and its quick forms.
const COMPUTE_F32: std::ops::RangeInclusive<c_int> = 68..=78;

/// A type of cuBLAS (`cudaDataType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    F32,
    F64,
    F16,
    Bf16,
}

impl Kind {
    fn of(code: c_int) -> Option<Self> {
        match code {
            0 => Some(Self::F32),
            1 => Some(Self::F64),
            2 => Some(Self::F16),
            14 => Some(Self::Bf16),
            _ => None,
        }
    }

    fn n_bytes(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// # Safety
    /// The element must be readable.
    unsafe fn read(self, start: *const c_void, at: usize) -> f64 {
        // SAFETY: the caller's.
        unsafe {
            match self {
                Self::F32 => f64::from(start.cast::<f32>().add(at).read_unaligned()),
                Self::F64 => start.cast::<f64>().add(at).read_unaligned(),
                Self::F16 => f64::from(start.cast::<f16>().add(at).read_unaligned()),
                Self::Bf16 => f64::from(start.cast::<bf16>().add(at).read_unaligned()),
            }
        }
    }

    /// # Safety
    /// The element must be writable.
    unsafe fn write(self, start: *mut c_void, at: usize, value: f64) {
        // SAFETY: the caller's.
        unsafe {
            match self {
                Self::F32 => start.cast::<f32>().add(at).write_unaligned(value as f32),
                Self::F64 => start.cast::<f64>().add(at).write_unaligned(value),
                Self::F16 => start.cast::<f16>().add(at).write_unaligned(f16::from_f64(value)),
                Self::Bf16 => start.cast::<bf16>().add(at).write_unaligned(bf16::from_f64(value)),
            }
        }
    }
}

/// A matrix stored column by column, and how far it is from one of a batch to the next.
#[derive(Clone, Copy)]
struct Matrix {
    start: *const c_void,
    kind: Kind,
    lead: usize,
    stride: usize,
    transposed: bool,
}

impl Matrix {
    fn of(
        start: *const c_void,
        kind: c_int,
        lead: c_int,
        stride: c_longlong,
        transposed: bool,
    ) -> Option<Self> {
        let lead = usize::try_from(lead).ok()?;
        Some(Self { start, kind: Kind::of(kind)?, lead, stride: stride as usize, transposed })
    }

    /// Fails where the elements of all matrices of a batch are not in one allocation.
    fn expect(&self, rows: usize, columns: usize, n_batch: usize) -> bool {
        let (rows, columns) = if self.transposed { (columns, rows) } else { (rows, columns) };
        if rows == 0 || columns == 0 || self.lead < rows {
            return false;
        }
        let last = (n_batch - 1) * self.stride + (columns - 1) * self.lead + rows;
        match memory::expect(self.start as usize, last * self.kind.n_bytes()) {
            Ok(()) => true,
            Err(fault) => {
                eprintln!("card: a product: {fault}");
                false
            }
        }
    }

    fn place(&self, row: usize, column: usize, batch: usize) -> usize {
        let (row, column) = if self.transposed { (column, row) } else { (row, column) };
        batch * self.stride + column * self.lead + row
    }

    /// # Safety
    /// The element must be readable.
    unsafe fn read(&self, row: usize, column: usize, batch: usize) -> f64 {
        // SAFETY: the caller's.
        unsafe { self.kind.read(self.start, self.place(row, column, batch)) }
    }

    /// # Safety
    /// The element must be writable.
    unsafe fn write(&self, row: usize, column: usize, batch: usize, value: f64) {
        // SAFETY: the caller's.
        unsafe { self.kind.write(self.start.cast_mut(), self.place(row, column, batch), value) };
    }
}

/// A product as the caller asks for it, checked.
struct Product {
    a: Matrix,
    b: Matrix,
    out: Matrix,
    /// Rows and columns of the result, and terms of each sum.
    sizes: [usize; 3],
    n_batch: usize,
    alpha: f64,
    beta: f64,
}

impl Product {
    /// `out = alpha a b + beta out`, sums in f64: the result is rounded once.
    fn run(&self) {
        let [m, n, k] = self.sizes;
        let n_workers = thread::available_parallelism().map_or(1, NonZero::get).min(n);
        for batch in 0..self.n_batch {
            // Every row of `a` is read once for each column, so it is laid out once.
            // SAFETY: all elements were found to be in allocations.
            let left: Vec<f64> =
                (0..m * k).map(|at| unsafe { self.a.read(at / k, at % k, batch) }).collect();
            thread::scope(|scope| {
                for worker in 0..n_workers {
                    let left = &left;
                    scope.spawn(move || {
                        for column in (worker..n).step_by(n_workers) {
                            self.column(left, column, batch);
                        }
                    });
                }
            });
        }
    }

    /// One column of the result; `left` is `a`, row by row.
    fn column(&self, left: &[f64], column: usize, batch: usize) {
        let k = self.sizes[2];
        // SAFETY: all elements were found to be in allocations.
        let right: Vec<f64> = (0..k).map(|at| unsafe { self.b.read(at, column, batch) }).collect();
        for (row, left) in left.chunks_exact(k).enumerate() {
            let sum = dot(left, &right);
            // SAFETY: as above, and nobody else writes this column; with no weight what was there
            // is not looked at.
            unsafe {
                let old = if self.beta == 0.0 { 0.0 } else { self.out.read(row, column, batch) };
                self.out.write(row, column, batch, self.alpha * sum + self.beta * old);
            }
        }
    }
}

// SAFETY: the matrices lie in the card's memory, which no caller frees while a product runs.
unsafe impl Sync for Product {}

/// A sum of products, eight at a time: a chain of additions would take most of a product's time.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    for (a, b) in a.iter().zip(b) {
        for at in 0..8 {
            sums[at] += a[at] * b[at];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

exports! {
    cublasCreate_v2(handle: *mut *mut c_void) {
        // SAFETY: the caller's pointer; the handle stands for nothing.
        unsafe { handle.write(std::ptr::dangling_mut::<u64>().cast()) };
        SUCCESS
    }
    cublasDestroy_v2(_handle: *mut c_void) { SUCCESS }
    cublasSetStream_v2(_handle: *mut c_void, _stream: *mut c_void) { SUCCESS }
    cublasGemmStridedBatchedEx(
        _handle: *mut c_void, a_op: c_int, b_op: c_int, m: c_int, n: c_int, k: c_int,
        alpha: *const c_void,
        a: *const c_void, a_kind: c_int, a_lead: c_int, a_stride: c_longlong,
        b: *const c_void, b_kind: c_int, b_lead: c_int, b_stride: c_longlong,
        beta: *const c_void,
        c: *mut c_void, c_kind: c_int, c_lead: c_int, c_stride: c_longlong,
        n_batch: c_int, compute: c_int, _algorithm: c_int,
    ) {
        // Factors are f32 where sums are.
        if a_kind != b_kind || a_op > 1 || b_op > 1 || !COMPUTE_F32.contains(&compute) {
            return NOT_SUPPORTED;
        }
        let Ok(n_batch) = usize::try_from(n_batch) else { return INVALID_VALUE };
        let sizes = [m, n, k].map(|size| usize::try_from(size).unwrap_or(0));
        if sizes.contains(&0) || n_batch == 0 || *memory::IS_IDLE {
            return SUCCESS;
        }
        let matrices = (
            Matrix::of(a, a_kind, a_lead, a_stride, a_op == 1),
            Matrix::of(b, b_kind, b_lead, b_stride, b_op == 1),
            Matrix::of(c.cast_const(), c_kind, c_lead, c_stride, false),
        );
        let (Some(a), Some(b), Some(out)) = matrices else { return NOT_SUPPORTED };
        let [m, n, k] = sizes;
        if !(a.expect(m, k, n_batch) && b.expect(k, n, n_batch) && out.expect(m, n, n_batch)) {
            return EXECUTION_FAILED;
        }
        // SAFETY: the caller's pointers to one f32 each.
        let (alpha, beta) = unsafe { (*alpha.cast::<f32>(), *beta.cast::<f32>()) };
        let (alpha, beta) = (f64::from(alpha), f64::from(beta));
        Product { a, b, out, sizes, n_batch, alpha, beta }.run();
        SUCCESS
    }

    curandCreateGenerator(generator: *mut *mut c_void, _kind: c_int) {
        // SAFETY: as of `cublasCreate_v2`.
        unsafe { generator.write(std::ptr::dangling_mut::<u64>().cast()) };
        SUCCESS
    }
    curandDestroyGenerator(_generator: *mut c_void) { SUCCESS }
    curandSetPseudoRandomGeneratorSeed(_generator: *mut c_void, _seed: u64) { SUCCESS }
    curandSetStream(_generator: *mut c_void, _stream: *mut c_void) { SUCCESS }
}
