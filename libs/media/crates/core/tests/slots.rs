//! WHEP slots: the source changes, the stream goes on.

mod world;

use odeon_media_core::codec::Codec;
use odeon_media_core::{ErrorClass, Kind, What};
use world::{Source, World};

fn two_publishers(second: Codec) -> (World, [Source; 2]) {
    let mut world = World::new();
    let alice = world.publisher("alice", Codec::Vp8, &[]);
    let bob = world.publisher("bob", second, &[]);
    let mut sources = [Source::new(alice, Codec::Vp8), Source::new(bob, second)];
    world.stream(&mut sources, 300);
    (world, sources)
}

#[test]
fn a_slot_switches_at_the_new_sources_keyframe_and_the_decoder_sees_one_stream() {
    let (mut world, mut sources) = two_publishers(Codec::Vp8);
    let viewer = world.viewer("viewer");
    let tracks = [world.track("alice", Kind::Video), world.track("bob", Kind::Video)];
    for round in 0..6 {
        let track = &tracks[round % 2];
        world.sfu.set_slot(world.now, "viewer", Kind::Video, 0, Some(track), None).unwrap();
        world.stream(&mut sources, 700);
    }
    let pictures = world.peers[viewer].pictures();
    assert!(pictures.len() > 110, "{}", pictures.len());
    for pair in pictures.windows(2) {
        assert!(pair[1].contiguous && pair[1].sequence.0 == pair[0].sequence.1 + 1);
        assert!(pair[1].rtp_time > pair[0].rtp_time);
        let captured = pair[1].capture_us.unwrap() - pair[0].capture_us.unwrap();
        assert!((-2_000..120_000).contains(&captured), "time goes on: {captured} us");
    }
    let switches = world.count(|what| matches!(what, What::SlotChanged { .. }));
    assert_eq!(switches, 6);
    assert!(pictures.iter().filter(|frame| frame.keyframe).count() >= 6);
}

#[test]
fn a_source_of_another_codec_can_follow_in_the_same_slot() {
    let (mut world, mut sources) = two_publishers(Codec::H264);
    let viewer = world.viewer("viewer");
    for name in ["alice", "bob", "alice"] {
        let track = world.track(name, Kind::Video);
        world.sfu.set_slot(world.now, "viewer", Kind::Video, 0, Some(&track), None).unwrap();
        world.stream(&mut sources, 700);
    }
    let codecs: Vec<Codec> =
        world.peers[viewer].pictures().iter().map(|frame| frame.codec).collect();
    let mut runs = codecs.clone();
    runs.dedup();
    assert_eq!(runs, [Codec::Vp8, Codec::H264, Codec::Vp8]);
}

#[test]
fn a_switch_waits_for_the_keyframe_while_the_old_source_goes_on() {
    let (mut world, mut sources) = two_publishers(Codec::Vp8);
    sources[1].answers_plis = false;
    sources[1].keyframe_every = 120;
    let viewer = world.viewer("viewer");
    let (alice, bob) = (world.track("alice", Kind::Video), world.track("bob", Kind::Video));
    world.sfu.set_slot(world.now, "viewer", Kind::Video, 0, Some(&alice), None).unwrap();
    world.stream(&mut sources, 500);
    world.sfu.set_slot(world.now, "viewer", Kind::Video, 0, Some(&bob), None).unwrap();
    let asked = world.peers[viewer].pictures().len();
    world.stream(&mut sources, 1_000);
    assert!(world.peers[viewer].pictures().len() > asked + 25, "the old picture goes on");
    let shown = |world: &World| {
        world.count(|what| matches!(what, What::SlotChanged { track, .. } if **track == *bob))
    };
    assert_eq!(shown(&world), 0);
    world.stream(&mut sources, 3_500);
    assert_eq!(shown(&world), 1);
}

#[test]
fn a_slot_can_be_emptied_and_survives_the_end_of_its_source() {
    let (mut world, mut sources) = two_publishers(Codec::Vp8);
    let viewer = world.viewer("viewer");
    let (alice, bob) = (world.track("alice", Kind::Video), world.track("bob", Kind::Video));
    world.sfu.set_slot(world.now, "viewer", Kind::Video, 0, Some(&alice), None).unwrap();
    world.stream(&mut sources, 500);
    world.sfu.set_slot(world.now, "viewer", Kind::Video, 0, None, None).unwrap();
    world.stream(&mut sources, 100);
    let before = world.peers[viewer].pictures().len();
    world.stream(&mut sources, 300);
    assert_eq!(world.peers[viewer].pictures().len(), before);
    world.sfu.set_slot(world.now, "viewer", Kind::Video, 0, Some(&alice), None).unwrap();
    world.stream(&mut sources, 300);
    assert!(world.sfu.close(world.now, "alice", "LEFT"));
    world.stream(&mut sources[1..], 100);
    world.sfu.set_slot(world.now, "viewer", Kind::Video, 0, Some(&bob), None).unwrap();
    world.stream(&mut sources[1..], 500);
    assert!(world.peers[viewer].pictures().len() > before + 15);
    let refusal =
        world.sfu.set_slot(world.now, "viewer", Kind::Video, 3, Some(&bob), None).unwrap_err();
    assert_eq!((refusal.class, refusal.reason), (ErrorClass::NotFound, "SLOT_NOT_FOUND"));
}

#[test]
fn every_frame_of_a_viewer_has_a_capture_time_whenever_its_slots_are_filled() {
    for offset in 0..20 {
        let (mut world, mut sources) = two_publishers(Codec::Vp8);
        let viewer = world.viewer("viewer");
        world.stream(&mut sources, offset);
        for (kind, wait) in [(Kind::Audio, offset * 3), (Kind::Video, 400)] {
            let track = world.track("alice", kind);
            world.sfu.set_slot(world.now, "viewer", kind, 0, Some(&track), None).unwrap();
            world.stream(&mut sources, wait);
        }
        let frames = &world.peers[viewer].frames;
        assert!(!world.peers[viewer].pictures().is_empty());
        assert!(frames.iter().all(|(_, frame)| frame.capture_us.is_some()), "offset {offset}");
    }
}
