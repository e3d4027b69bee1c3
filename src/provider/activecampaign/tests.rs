mod codec;
mod reading;
mod service;
mod shapes;
mod users;
mod writing;
