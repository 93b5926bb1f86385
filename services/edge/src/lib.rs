//! `odeon-edge`: the HTTP edge of Odeon. It checks the token in each path, strips it, and answers from
//! a cache that asks the recorder once however many viewers wait.
//!
//! [`run`] is the whole process; the modules are its parts, from pure rules (`path`, `directives`,
//! `token`, `answer`) over state (`session`, `cache`, `limits`, `drain`) to sockets (`net`, `io`,
//! `origin`, `upstream`, `trust`).
#![forbid(unsafe_code)]

pub mod access;
pub mod admin;
pub mod answer;
pub mod body;
pub mod cache;
pub mod cors;
pub mod directives;
pub mod drain;
pub mod edge;
pub mod io;
pub mod limits;
pub mod log;
pub mod metrics;
pub mod net;
pub mod origin;
pub mod path;
pub mod pool;
pub mod process;
pub mod proto;
pub mod refusal;
pub mod report;
pub mod revocations;
pub mod session;
pub mod settings;
pub mod steering;
pub mod tls;
pub mod token;
pub mod trace;
pub mod trust;
pub mod upstream;

pub use process::run;
pub use settings::Settings;
