//! A module as the driver is given it: PTX as text, or a fatbin with PTX among machine code.
//!
//! NVIDIA does not document the container; the fields used here were read off what nvcc 13.0 writes.

use crate::fault::Fault;

/// The first bytes of a container.
const MAGIC: u32 = 0xBA55_ED50;
/// A part that is PTX.
const KIND_PTX: u64 = 1;
/// The parts were compressed by Zstandard.
const FLAG_ZSTD: u64 = 0x8000;
/// The parts were compressed in another way.
const FLAG_OTHER: u64 = 0x2000;

/// The PTX of a module.
///
/// # Safety
/// `image` must be what a caller gives the driver: a text that ends with a zero, or a container.
pub(crate) unsafe fn ptx(image: *const u8) -> Result<String, Fault> {
    // SAFETY: both forms have four bytes.
    if unsafe { image.cast::<u32>().read_unaligned() } != MAGIC {
        // SAFETY: then it is a text.
        let text = unsafe { std::ffi::CStr::from_ptr(image.cast()) };
        return Ok(text.to_string_lossy().into_owned());
    }
    // SAFETY: a container has 16 bytes in front, with its length among them.
    let head = unsafe { std::slice::from_raw_parts(image, 16) };
    let start = field(head, 6, 2) as usize;
    let n_bytes = start + field(head, 8, 8) as usize;
    // SAFETY: as long as it says.
    let mut rest = &unsafe { std::slice::from_raw_parts(image, n_bytes) }[start..];
    while rest.len() >= 64 {
        let part = Part::read(rest);
        if part.kind == KIND_PTX {
            return part.text();
        }
        rest = rest.get(part.n_bytes..).unwrap_or_default();
    }
    Err(Fault::new("the module holds no PTX, and the card runs nothing else"))
}

/// One architecture's code.
struct Part<'a> {
    kind: u64,
    flags: u64,
    content: &'a [u8],
    n_unpacked: usize,
    /// Of header and content.
    n_bytes: usize,
}

impl<'a> Part<'a> {
    fn read(bytes: &'a [u8]) -> Self {
        let (head, padded) = (field(bytes, 4, 4) as usize, field(bytes, 8, 8) as usize);
        let packed = field(bytes, 16, 4) as usize;
        let n_bytes = if packed == 0 { padded } else { packed };
        Self {
            kind: field(bytes, 0, 2),
            flags: field(bytes, 40, 8),
            content: bytes.get(head..head + n_bytes).unwrap_or_default(),
            n_unpacked: field(bytes, 56, 8) as usize,
            n_bytes: head + padded,
        }
    }

    fn text(&self) -> Result<String, Fault> {
        if self.flags & FLAG_OTHER != 0 {
            return Err(Fault::new(
                "the module is packed in a way that the card does not read: build with \
                 NVCC_APPEND_FLAGS=--compress-mode=size",
            ));
        }
        let bytes = if self.flags & FLAG_ZSTD != 0 {
            zstd::bulk::decompress(self.content, self.n_unpacked)
                .map_err(|error| Fault::new(format!("the module does not unpack: {error}")))?
        } else {
            self.content.to_vec()
        };
        Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned())
    }
}

fn field(bytes: &[u8], at: usize, n_bytes: usize) -> u64 {
    let mut whole = [0; 8];
    whole[..n_bytes].copy_from_slice(&bytes[at..at + n_bytes]);
    u64::from_le_bytes(whole)
}
