//! A mixture of experts: the choice and the sort exactly, the whole closely.

use candle_core::{Device as Host, Tensor};
use stillroom_kernels::launch::{Float, Launch};
use stillroom_kernels::linear::{Format, Quant, Weight};
use stillroom_kernels::moe::launch::{
    Pointers, Shape, Stored, Workspace, launches, workspace_bytes,
};
use stillroom_kernels::moe::reference::{PlainExpert, moe};
use stillroom_kernels::moe::route;

use crate::device::{Buffer, Device, expect_all_missed};
use crate::noise::Noise;
use crate::{FLOATS, check};

/// The kernels of the op itself; the gate between its products is another op's.
struct Case {
    shape: Shape,
    logits: Vec<f32>,
    wanted: Vec<f32>,
    on: Device,
    gate: Device,
    at: Pointers,
    workspace: Buffer,
    out: Buffer,
}

impl Case {
    fn new(shape: Shape, on: Device) -> Self {
        let Shape { float, t, h, i, e, top_k, .. } = shape;
        let mut noise = Noise::new(61);
        let x = on.put(&noise.spiky(t * h), float);
        // Rounded to halves, so that some rows have ties at the border of the top k.
        let halves = noise.spiky(t * e).into_iter().map(|x| (x * 2.0).round() / 2.0);
        let logits = on.put(&halves.collect::<Vec<_>>(), float);
        let mut matrices = |stored, n: usize, k: usize| -> (Vec<u64>, Vec<Vec<f32>>) {
            let scale = 1.0 / (k as f32).sqrt();
            let mut one = || noise.spiky(n * k).iter().map(|x| x * scale).collect::<Vec<_>>();
            (0..e).map(|_| put_matrix(&on, stored, float, one(), (n, k))).unzip()
        };
        let gate_up = matrices(shape.gate_up, 2 * i, h);
        let down = matrices(shape.down, h, i);
        let experts: Vec<PlainExpert> = gate_up
            .1
            .into_iter()
            .zip(down.1)
            .map(|(gate_up, down)| PlainExpert { gate_up, down })
            .collect();
        let wanted = moe(&x.read(float), &logits.read(float), h, &experts, top_k);
        let workspace = on.blank(workspace_bytes(shape));
        let out = on.blank(t * h * float.size());
        let at = Pointers {
            x: x.address(),
            logits: logits.address(),
            gate_up: on.put_u64(&gate_up.0).address(),
            down: on.put_u64(&down.0).address(),
            workspace: workspace.address(),
            out: out.address(),
        };
        let logits = logits.read(float);
        Self { shape, logits, wanted, on, gate: Device::of("silu_mul"), at, workspace, out }
    }

    fn run(&self, launch: &Launch) -> Result<(), String> {
        if launch.op == "moe" { self.on.run(launch) } else { self.gate.run(launch) }
    }

    /// `n` words of the workspace at an address within it.
    fn words(&self, address: u64, n: usize) -> Vec<u32> {
        let first = (address - self.workspace.address()) as usize / 4;
        self.workspace.read_u32()[first..][..n].to_vec()
    }

    /// Runs everything and looks at the choice, the sort and the sum.
    fn check(&self) -> Result<(), String> {
        let Shape { float, t, e, top_k, .. } = self.shape;
        for launch in launches(self.shape, &self.at) {
            self.run(&launch)?;
        }
        let n_places = t * top_k;
        let work = Workspace::at(self.workspace.address(), self.shape);
        let experts = self.words(work.experts, n_places);
        let routing = route(&self.logits, e, top_k);
        same("experts", &experts, &routing.experts)?;
        let weights = self.words(work.weights, n_places).into_iter().map(f32::from_bits);
        let weights: Vec<f32> = weights.collect();
        check("weights", Float::F32, &weights, &routing.weights)?;

        let mut order: Vec<u32> = (0..n_places as u32).collect();
        order.sort_by_key(|&place| experts[place as usize]);
        same("order", &self.words(work.order, n_places), &order)?;
        let starts = (0..=e as u32).map(|i| experts.iter().filter(|&&x| x < i).count() as u32);
        same("starts", &self.words(work.starts, e + 1), &starts.collect::<Vec<_>>())?;
        check(&format!("{:?}", self.shape), float, &self.out.read(float), &self.wanted)
    }
}

/// Stores one matrix `[n, k]`: where it lies, and what it then holds.
fn put_matrix(
    on: &Device,
    stored: Stored,
    float: Float,
    matrix: Vec<f32>,
    (n, k): (usize, usize),
) -> (u64, Vec<f32>) {
    let Stored::Quantised(quant) = stored else {
        let matrix = on.put(&matrix, float);
        return (matrix.address(), matrix.read(float));
    };
    let matrix = Tensor::from_vec(matrix, (n, k), &Host::Cpu).unwrap();
    let weight = Weight::from_tensor(&matrix, Format::Quantised(quant), &Host::Cpu).unwrap();
    let Weight::Quantised(blocks) = &weight else { panic!("{quant:?} is what was asked for") };
    let address = on.put_bytes(&blocks.data().unwrap()).address();
    let values = weight.to_f32().unwrap().flatten_all().unwrap().to_vec1().unwrap();
    (address, values)
}

fn same(what: &str, found: &[u32], wanted: &[u32]) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{what}: {found:?}, wanted {wanted:?}")) }
}

const DENSE: [Stored; 2] = [Stored::Dense; 2];
const Q8_0: Stored = Stored::Quantised(Quant::Q8_0);
const Q4K: Stored = Stored::Quantised(Quant::Q4K);

/// `[t, h, i, e, k]`, and how the matrices there and back are stored.
fn shape(float: Float, [t, h, i, e, top_k]: [usize; 5], [gate_up, down]: [Stored; 2]) -> Shape {
    Shape { float, gate_up, down, t, h, i, e, top_k }
}

#[test]
fn matches_the_reference() {
    let sizes = [
        [1, 32, 64, 8, 2],
        [7, 16, 8, 4, 1],
        [40, 64, 48, 8, 2],
        [3, 8, 8, 3, 3],
        [5, 24, 40, 40, 6],
        [90, 40, 136, 3, 2],
        [2, 7, 5, 3, 2],
    ];
    for sizes in sizes {
        for float in FLOATS {
            Case::new(shape(float, sizes, DENSE), Device::of("moe")).check().unwrap();
        }
    }
}

/// Rows that are whole steps go to the tensor cores, others and f32 to the plain product.
#[test]
fn quantised_experts_match_the_reference() {
    let sizes = [
        ([1, 128, 256, 8, 2], [Q8_0, Q8_0]),
        ([40, 384, 64, 3, 2], [Q8_0, Q8_0]),
        ([5, 256, 512, 4, 2], [Q4K, Q4K]),
        ([70, 512, 256, 4, 2], [Q4K, Q4K]),
        // A width that has no blocks of 256, as q4_k was asked for.
        ([9, 256, 96, 3, 2], [Q4K, Q8_0]),
        ([6, 24, 128, 3, 1], [Stored::Dense, Q8_0]),
    ];
    for (sizes, stored) in sizes {
        for float in FLOATS {
            Case::new(shape(float, sizes, stored), Device::of("moe")).check().unwrap();
        }
    }
}

#[test]
fn rows_an_expert_choose_the_tile() {
    let cases = [
        ([60, 200, 72, 4, 2], DENSE, "moe_matmul_dense_bf16_16"),
        ([140, 200, 72, 4, 2], DENSE, "moe_matmul_dense_bf16_64"),
        ([520, 72, 136, 2, 1], DENSE, "moe_matmul_dense_bf16_128"),
        ([60, 128, 256, 4, 2], [Q8_0, Q8_0], "moe_matmul_q8_0_bf16_16"),
        ([140, 128, 256, 4, 2], [Q8_0, Q8_0], "moe_matmul_q8_0_bf16_64"),
        ([60, 256, 256, 4, 2], [Q4K, Q4K], "moe_matmul_q4_k_bf16_16"),
        ([140, 256, 256, 4, 2], [Q4K, Q4K], "moe_matmul_q4_k_bf16_64"),
        ([140, 96, 128, 4, 2], [Q8_0, Q8_0], "moe_matmul_plain_q8_0_bf16"),
    ];
    for (sizes, stored, kernel) in cases {
        let case = Case::new(shape(Float::Bf16, sizes, stored), Device::of("moe"));
        assert_eq!(launches(case.shape, &case.at)[2].kernel, kernel);
        case.check().unwrap();
    }
}

/// As on the host: NaN logits are chosen last, and make the weights of their row NaN.
#[test]
fn a_broken_row_shows_and_stays_alone() {
    let shape = shape(Float::F32, [2, 8, 8, 3, 2], DENSE);
    let on = Device::of("moe");
    let logits = on.put(&[f32::NAN, 1.0, 2.0, 0.5, 1.0, 2.0], Float::F32);
    let workspace = on.blank(workspace_bytes(shape));
    let at = Pointers {
        x: 0,
        logits: logits.address(),
        gate_up: 0,
        down: 0,
        workspace: workspace.address(),
        out: 0,
    };
    on.run(&launches(shape, &at)[0]).unwrap();
    assert_eq!(workspace.read_u32()[..4], [2, 1, 2, 1]);
    let weights = &workspace.read(Float::F32)[64..68];
    assert!(weights[0].is_nan() && weights[1].is_nan());
    assert!(weights[2..].iter().all(|weight| weight.is_finite()), "{weights:?}");
}

/// In each of the tiles, and in the plain product; more places than threads sort.
#[test]
fn every_barrier_and_wait_is_needed() {
    let shapes = [
        shape(Float::Bf16, [300, 328, 40, 24, 2], DENSE),
        shape(Float::Bf16, [300, 200, 40, 3, 2], DENSE),
        shape(Float::Bf16, [800, 200, 40, 3, 1], DENSE),
        shape(Float::Bf16, [300, 640, 128, 24, 2], [Q8_0, Q8_0]),
        shape(Float::Bf16, [300, 384, 128, 3, 2], [Q8_0, Q8_0]),
        shape(Float::Bf16, [300, 512, 256, 24, 2], [Q4K, Q4K]),
        shape(Float::Bf16, [300, 512, 256, 3, 2], [Q4K, Q4K]),
        shape(Float::F32, [300, 40, 40, 3, 2], DENSE),
    ];
    for shape in shapes {
        expect_all_missed("moe", |device| {
            let mut on = Device::of("moe");
            (on.removed, on.backwards) = (device.removed, device.backwards);
            let case = Case::new(shape, on);
            let result = case.check();
            device.note_places(&case.on);
            result
        });
    }
}
