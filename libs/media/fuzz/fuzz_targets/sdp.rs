#![no_main]
//! Offers as text: guarding, rewriting and answering never panic.

use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use odeon_media_core::{NodeConfig, Owner, Sfu, WallClock, sdp};

fn node() -> &'static Mutex<Sfu> {
    static NODE: OnceLock<Mutex<Sfu>> = OnceLock::new();
    NODE.get_or_init(|| {
        let config = NodeConfig::new(vec![SocketAddr::from(([127, 0, 0, 1], 9))]);
        Mutex::new(Sfu::new(config, WallClock::new(Instant::now(), 0)).unwrap())
    })
}

fuzz_target!(|text: &str| {
    if let Ok(guarded) = sdp::guard(text) {
        let forced = sdp::force_direction(&guarded, "sendonly");
        let _ = sdp::rewrite_msid(&forced, |mid| Some((sdp::token(mid), sdp::token(mid))));
        let _ = sdp::media_values(&forced, "simulcast");
    }
    let _ = sdp::fragment(text);
    let mut node = node().lock().unwrap();
    let now = Instant::now();
    let owner = Owner { session: "fuzz", event: "ev", participant: "p" };
    let _ = node.answer_publish(now, owner, text);
    node.close(now, "fuzz", "DONE");
    let _ = node.answer_whep(now, owner, text);
    node.close(now, "fuzz", "DONE");
});
