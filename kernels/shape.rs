//! Shape checks that read like the contract they hold: dims are letters of the dims alphabet, and
//! a letter has one size for all tensors of an op.
//!
//! Every op checks its tensors here and nowhere else, so that the code behind the door may index
//! without asking. An error names the op, the tensor, what was found and what was wanted. Dense
//! row-major tensors only: a kernel that took any stride would be slower for all its callers.

use candle_core::{DType, DeviceLocation, Result, Tensor, bail};

/// The dims seen so far in one op.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use stillroom_kernels::shape::Shapes;
///
/// # fn main() -> candle_core::Result<()> {
/// let k = Tensor::zeros((5, 2, 64), DType::F32, &Device::Cpu)?;
/// let v = Tensor::zeros((5, 2, 32), DType::F32, &Device::Cpu)?;
/// let mut shapes = Shapes::of("kv_write");
/// let [t, hkv, d] = shapes.expect("k", &k, ["t", "hkv", "d"])?;
/// let found = shapes.expect("v", &v, ["t", "hkv", "d"]).unwrap_err().to_string();
/// assert!(found.contains("kv_write: v is [5, 2, 32], wanted [t, hkv, d] with d = 64, as in k"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Shapes {
    op: &'static str,
    bound: Vec<Bound>,
    /// Where the first tensor lies; the others must lie there too.
    device: Option<(DeviceLocation, &'static str)>,
}

/// One letter, its size and who said so.
#[derive(Debug)]
struct Bound {
    letter: &'static str,
    size: usize,
    source: &'static str,
}

impl Shapes {
    /// Starts the checks of one op, whose name every error carries.
    pub fn of(op: &'static str) -> Self {
        Self { op, bound: Vec::new(), device: None }
    }

    /// Gives a letter its size before any tensor is seen; `source` says where the size is from.
    ///
    /// # Errors
    /// When the letter has another size already.
    pub fn bind(
        &mut self,
        letter: &'static str,
        size: usize,
        source: &'static str,
    ) -> Result<&mut Self> {
        match self.bound.iter().find(|bound| bound.letter == letter) {
            Some(bound) if bound.size != size => bail!(
                "{}: {source} says {letter} = {size}, {} says {letter} = {}",
                self.op,
                bound.source,
                bound.size
            ),
            Some(_) => {}
            None => self.bound.push(Bound { letter, size, source }),
        }
        Ok(self)
    }

    /// Checks that `tensor` has these dims, is contiguous and lies with the others; returns the
    /// sizes.
    ///
    /// # Errors
    /// When the rank, a size, the device or the memory order is another.
    pub fn expect<const RANK: usize>(
        &mut self,
        name: &'static str,
        tensor: &Tensor,
        letters: [&'static str; RANK],
    ) -> Result<[usize; RANK]> {
        let op = self.op;
        let dims = tensor.dims();
        let wanted = letters.join(", ");
        let Ok(sizes) = <[usize; RANK]>::try_from(dims) else {
            bail!("{op}: {name} is {dims:?}, wanted [{wanted}]")
        };
        for (letter, size) in letters.into_iter().zip(sizes) {
            match self.bound.iter().find(|bound| bound.letter == letter) {
                Some(bound) if bound.size != size => bail!(
                    "{op}: {name} is {dims:?}, wanted [{wanted}] with {letter} = {}, as in {}",
                    bound.size,
                    bound.source
                ),
                Some(_) => {}
                None => self.bound.push(Bound { letter, size, source: name }),
            }
        }
        if !tensor.is_contiguous() {
            let strides = tensor.stride();
            bail!("{op}: {name} {dims:?} has strides {strides:?}, wanted a contiguous tensor")
        }
        let found = tensor.device().location();
        match self.device {
            Some((location, source)) if location != found => {
                bail!("{op}: {name} lies on {found:?}, {source} on {location:?}")
            }
            Some(_) => {}
            None => self.device = Some((found, name)),
        }
        Ok(sizes)
    }

    /// Checks the element type.
    ///
    /// # Errors
    /// When it is none of those wanted.
    pub fn expect_dtype(&self, name: &str, tensor: &Tensor, wanted: &[DType]) -> Result<()> {
        if !wanted.contains(&tensor.dtype()) {
            bail!("{}: {name} is {:?}, wanted one of {wanted:?}", self.op, tensor.dtype())
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn zeros(dims: &[usize]) -> Tensor {
        Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap()
    }

    #[test]
    fn a_letter_has_one_size() {
        let mut shapes = Shapes::of("op");
        assert_eq!(shapes.expect("q", &zeros(&[3, 4]), ["t", "h"]).unwrap(), [3, 4]);
        assert_eq!(shapes.expect("k", &zeros(&[4]), ["h"]).unwrap(), [4]);
        let error = shapes.expect("v", &zeros(&[5]), ["h"]).unwrap_err().to_string();
        assert!(error.starts_with("op: v is [5], wanted [h] with h = 4, as in q"), "{error}");
    }

    #[test]
    fn a_bound_letter_holds() {
        let mut shapes = Shapes::of("op");
        shapes.bind("t", 2, "the batch").unwrap();
        let error = shapes.expect("q", &zeros(&[3]), ["t"]).unwrap_err().to_string();
        assert!(error.contains("with t = 2, as in the batch"), "{error}");
        assert!(shapes.bind("t", 3, "the table").is_err());
    }

    #[test]
    fn rank_order_and_type_are_checked() {
        let mut shapes = Shapes::of("op");
        let error = shapes.expect("q", &zeros(&[3]), ["t", "h"]).unwrap_err().to_string();
        assert!(error.starts_with("op: q is [3], wanted [t, h]"), "{error}");
        let turned = zeros(&[3, 4]).t().unwrap();
        assert!(Shapes::of("op").expect("q", &turned, ["t", "h"]).is_err());
        assert!(shapes.expect_dtype("q", &turned, &[DType::F16]).is_err());
        assert!(shapes.expect_dtype("q", &turned, &[DType::F16, DType::F32]).is_ok());
    }
}
