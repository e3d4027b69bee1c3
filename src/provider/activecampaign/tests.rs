mod codec;
mod emulated;
mod service;
mod shapes;
