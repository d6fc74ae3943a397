//! Functions that a caller finds by their names, as the libraries declare them.

/// Declares functions of C that return a code. Their callers keep the library's manual: pointers
/// that a function writes to are valid, handles are those that it was given.
macro_rules! exports {
    ($($name:ident($($arg:ident: $kind:ty),* $(,)?) $body:block)*) => {$(
        #[unsafe(no_mangle)]
        #[allow(non_snake_case, reason = "the library's own name")]
        unsafe extern "C" fn $name($($arg: $kind),*) -> ::std::ffi::c_int $body
    )*};
}
pub(crate) use exports;
