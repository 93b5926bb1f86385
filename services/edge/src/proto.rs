//! Generated from `proto/`: auth's client and the messages of NATS.
#![allow(missing_docs, clippy::all, clippy::pedantic)]

/// `odeon.*`, as protoc's packages nest.
pub mod odeon {
    /// `odeon.auth.*`
    pub mod auth {
        /// `odeon.auth.v1`
        pub mod v1 {
            tonic::include_proto!("odeon.auth.v1");
        }
    }
    /// `odeon.events.*`
    pub mod events {
        /// `odeon.events.v1`
        pub mod v1 {
            tonic::include_proto!("odeon.events.v1");
        }
    }
    /// `odeon.pools.*`
    pub mod pools {
        /// `odeon.pools.v1`
        pub mod v1 {
            tonic::include_proto!("odeon.pools.v1");
        }
    }
}

pub use odeon::auth::v1 as auth;
pub use odeon::events::v1 as events;
pub use odeon::pools::v1 as pools;
