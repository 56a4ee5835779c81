//! Use cases with I/O. [`App`] holds every long-lived object; each file adds the methods of one subject.
//!
//! Start at [`App`], then at the file of the subject: `identity`, `calling`, `hubs`, `control`, `push`.

mod app;
pub mod callautomation;
pub mod calling;
pub mod checkup;
mod clock;
pub mod control;
mod error;
pub mod events;
pub mod http;
pub mod hubs;
pub mod identity;
mod node;
pub mod push;
mod random;
pub mod registrar;
mod settings;
mod stop;
mod throttle;
pub mod webhook;

pub use app::App;
pub use clock::Clock;
pub use error::{Error, Kind, Result};
pub use random::Random;
pub use settings::{Settings, Subscription};
pub use store::ResourceQuery;
