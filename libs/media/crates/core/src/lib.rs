//! The packet path of Odeon without clock and sockets: a selective forwarding unit and a client for
//! encoded media, both on str0m. Time and packets are handed in; what leaves goes to an `Egress`.
#![forbid(unsafe_code)]

mod allocate;
pub mod client;
mod clock;
pub mod codec;
mod config;
mod congestion;
mod dtls;
mod egress;
mod error;
mod event;
mod keyframe;
mod node;
mod receive_rate;
mod rewrite;
mod route;
pub mod sdp;
mod session;
mod speakers;
mod stats;
mod track;

pub use clock::{PeerClock, StreamClock, WallClock, system_time_us};
pub use config::NodeConfig;
pub use egress::{Batch, Egress, EgressCounters, Run};
pub use error::{ErrorClass, MediaError, Result};
pub use event::{Id, Kind, NodeEvent, SessionKind, Subject, What};
pub use node::{Owner, Sfu, SlotInfo, Subscription};
pub use route::request_ufrag;
pub use stats::{LayerStats, NodeStats, SessionStats, SlotStats, TrackStats};
