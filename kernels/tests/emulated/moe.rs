//! A mixture of experts: the choice and the sort exactly, the whole closely.

use stillroom_kernels::launch::{Float, Launch};
use stillroom_kernels::moe::launch::{Pointers, Shape, Workspace, launches, workspace_bytes};
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
        let Shape { float, t, h, i, e, top_k } = shape;
        let mut noise = Noise::new(61);
        let x = on.put(&noise.spiky(t * h), float);
        // Rounded to halves, so that some rows have ties at the border of the top k.
        let halves = noise.spiky(t * e).into_iter().map(|x| (x * 2.0).round() / 2.0);
        let logits = on.put(&halves.collect::<Vec<_>>(), float);
        let mut matrices = |n: usize, k: usize| -> Vec<Buffer> {
            let scale = 1.0 / (k as f32).sqrt();
            let mut one = || noise.spiky(n * k).iter().map(|x| x * scale).collect::<Vec<_>>();
            (0..e).map(|_| on.put(&one(), float)).collect()
        };
        let (gate_up, down) = (matrices(2 * i, h), matrices(h, i));
        let experts: Vec<PlainExpert> = gate_up
            .iter()
            .zip(&down)
            .map(|(up, down)| PlainExpert { gate_up: up.read(float), down: down.read(float) })
            .collect();
        let wanted = moe(&x.read(float), &logits.read(float), h, &experts, top_k);
        let list = |matrices: &[Buffer]| {
            on.put_u64(&matrices.iter().map(|x| x.address()).collect::<Vec<_>>()).address()
        };
        let workspace = on.blank(workspace_bytes(shape));
        let out = on.blank(t * h * float.size());
        let at = Pointers {
            x: x.address(),
            logits: logits.address(),
            gate_up: list(&gate_up),
            down: list(&down),
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

fn same(what: &str, found: &[u32], wanted: &[u32]) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{what}: {found:?}, wanted {wanted:?}")) }
}

#[test]
fn matches_the_reference() {
    let sizes = [
        (1, 32, 64, 8, 2),
        (7, 16, 8, 4, 1),
        (40, 64, 48, 8, 2),
        (3, 8, 8, 3, 3),
        (5, 24, 40, 40, 6),
        (90, 40, 136, 3, 2),
        (2, 7, 5, 3, 2),
    ];
    for (t, h, i, e, top_k) in sizes {
        for float in FLOATS {
            let shape = Shape { float, t, h, i, e, top_k };
            Case::new(shape, Device::of("moe")).check().unwrap();
        }
    }
}

#[test]
fn many_tokens_take_the_large_tile() {
    let shape = Shape { float: Float::Bf16, t: 140, h: 200, i: 72, e: 4, top_k: 2 };
    let case = Case::new(shape, Device::of("moe"));
    assert_eq!(launches(shape, &case.at)[2].kernel, "moe_matmul_bf16_64");
    case.check().unwrap();
}

/// As on the host: NaN logits are chosen last, and make the weights of their row NaN.
#[test]
fn a_broken_row_shows_and_stays_alone() {
    let shape = Shape { float: Float::F32, t: 2, h: 8, i: 8, e: 3, top_k: 2 };
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

#[test]
fn every_barrier_and_wait_is_needed() {
    expect_all_missed("moe", |device| {
        let case = |float, t, k| {
            let shape = Shape { float, t, h: k, i: k, e: 3, top_k: 2 };
            let mut on = Device::of("moe");
            (on.removed, on.backwards) = (device.removed, device.backwards);
            let case = Case::new(shape, on);
            let result = case.check();
            device.note_places(&case.on);
            result
        };
        case(Float::Bf16, 300, 200)?;
        case(Float::F32, 20, 40)
    });
}
