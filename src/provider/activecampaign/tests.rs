mod codec;
mod emulated;
mod hostile;
mod reading;
mod service;
mod shapes;
mod users;
mod writing;
