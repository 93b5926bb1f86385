#![no_main]
//! Datagrams at the port from a stranger: nothing panics and nothing is answered.

use std::net::SocketAddr;
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use odeon_media_core::{Egress, NodeConfig, Run, Sfu, WallClock, request_ufrag};

struct Nothing;

impl Egress for Nothing {
    fn send(&mut self, _: Run<'_>) -> bool {
        panic!("a stranger was answered");
    }
}

fuzz_target!(|datagram: &[u8]| {
    let _ = request_ufrag(datagram);
    let now = Instant::now();
    let config = NodeConfig::new(vec![SocketAddr::from(([127, 0, 0, 1], 9))]);
    let mut node = Sfu::new(config, WallClock::new(now, 0)).unwrap();
    node.handle_datagram(now, SocketAddr::from(([192, 0, 2, 1], 5)), datagram);
    node.flush(now, &mut Nothing);
});
