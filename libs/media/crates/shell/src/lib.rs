//! Sockets, threads and clocks around `odeon-media-core`.
//!
//! A node and a client each own one UDP socket and one thread; commands come over a channel and are
//! answered, events and frames wait in bounded queues. Nothing here decides anything about media.
#![warn(unsafe_op_in_unsafe_fn)]

mod client;
mod command;
mod node;
mod socket;
mod time;

pub use client::{ClientHandle, ClientSettings};
pub use node::{NodeHandle, NodeReport, NodeSettings, Timed};
pub use time::{monotonic_ns, unix_us_to_instant, wall_clock};
