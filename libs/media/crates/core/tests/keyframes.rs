//! PLIs: coalesced, throttled, and survived when nobody answers them.

mod world;

use odeon_media_core::codec::Codec;
use odeon_media_core::{Kind, What};
use world::{Source, World};

fn plis(world: &World) -> usize {
    world.count(|what| matches!(what, What::KeyframeRequested { .. }))
}

#[test]
fn twenty_joiners_at_once_cost_the_publisher_one_or_two_keyframes() {
    let mut world = World::new();
    let alice = world.publisher("alice", Codec::Vp8, &[]);
    let mut source = [Source::new(alice, Codec::Vp8)];
    world.stream(&mut source, 1_000);
    let sent = source[0].keyframes_sent;
    let viewers: Vec<usize> = (0..20).map(|i| world.viewer(&format!("viewer{i}"))).collect();
    world.stream(&mut source, 300);
    let track = world.track("alice", Kind::Video);
    for i in 0..20 {
        world
            .sfu
            .set_slot(world.now, &format!("viewer{i}"), Kind::Video, 0, Some(&track), None)
            .unwrap();
    }
    world.stream(&mut source, 500);
    assert!(source[0].keyframes_sent - sent <= 2, "{}", source[0].keyframes_sent - sent);
    for viewer in viewers {
        assert!(world.peers[viewer].pictures().len() > 8);
    }
}

#[test]
fn an_encoder_that_never_answers_is_asked_once_a_second_and_joiners_wait_for_its_own_keyframe() {
    let mut world = World::new();
    let alice = world.publisher("alice", Codec::Vp8, &[]);
    let mut source = [Source::new(alice, Codec::Vp8)];
    source[0].answers_plis = false;
    source[0].keyframe_every = 150;
    world.stream(&mut source, 500);
    let before = plis(&world);
    let bob = world.subscriber("bob", false);
    world.stream(&mut source, 3_500);
    assert!(world.peers[bob].pictures().is_empty());
    let asked = plis(&world) - before;
    assert!((3..=6).contains(&asked), "{asked} PLIs in 4 s");
    world.stream(&mut source, 2_000);
    let pictures = world.peers[bob].pictures();
    assert!(pictures.len() > 20 && pictures[0].keyframe);
}

#[test]
fn a_storm_of_plis_from_one_subscriber_is_throttled() {
    let mut world = World::new();
    let alice = world.publisher("alice", Codec::Vp8, &[]);
    let mut source = [Source::new(alice, Codec::Vp8)];
    world.stream(&mut source, 500);
    let bob = world.subscriber("bob", false);
    world.stream(&mut source, 500);
    let (before, mid) = (plis(&world), world.peers[bob].mid(Kind::Video));
    for _ in 0..200 {
        world.peers[bob].core.request_keyframe(world.now, &mid, None).unwrap();
        world.stream(&mut source, 10);
    }
    let asked = plis(&world) - before;
    assert!((2..=4).contains(&asked), "{asked} PLIs in 2 s of a storm");
}
