//! Tests of the codec, from bytes, and of the order of calls, against a small account behind the
//! local transport.

mod account;
mod codec;
mod emulated;
mod hostile;
mod reading;
mod shapes;
mod writing;
