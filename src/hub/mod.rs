//! Checkpoints from the Hub, in the standard cache folder.
//!
//! It must not know what the files mean.
