//! Lost packets: NACK and retransmission on both ways.

mod world;

use odeon_media_core::codec::Codec;
use world::{Source, World};

#[test]
fn losses_on_both_ways_are_repaired_before_the_frame_is_needed() {
    let mut world = World::new();
    let alice = world.publisher("alice", Codec::H264, &[]);
    let mut source = [Source::new(alice, Codec::H264)];
    source[0].layers[0].1 = 6_000;
    world.stream(&mut source, 200);
    let bob = world.subscriber("bob", true);
    world.stream(&mut source, 500);
    world.peers[alice].link.drop_up = 23;
    world.peers[bob].link.drop_down = 17;
    let before = world.peers[bob].pictures().len();
    world.stream(&mut source, 10_000);
    let session = world.session("bob").unwrap();
    assert!(session.slots.iter().any(|slot| slot.nacks > 10), "{session:?}");
    let pictures = world.peers[bob].pictures();
    let after = &pictures[before..];
    assert!(after.len() > 290, "{} of 300", after.len());
    let broken = after.iter().filter(|frame| !frame.contiguous).count();
    assert!(broken <= 3, "{broken} of {}", after.len());
}
