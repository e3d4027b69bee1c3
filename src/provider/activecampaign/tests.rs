mod codec;
mod emulated;
mod reading;
mod service;
mod shapes;
mod users;
mod writing;
