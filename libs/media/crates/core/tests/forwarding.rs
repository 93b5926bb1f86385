//! Publish → forward → receive.

mod world;

use odeon_media_core::codec::Codec;
use odeon_media_core::{Kind, What};
use world::{Source, World};

#[test]
fn frames_arrive_whole_in_order_and_with_their_capture_time() {
    for codec in [Codec::Vp8, Codec::H264] {
        let mut world = World::new();
        let alice = world.publisher("alice", codec, &[]);
        let mut source = [Source::new(alice, codec)];
        world.stream(&mut source, 200);
        let bob = world.subscriber("bob", true);
        world.stream(&mut source, 2_000);

        let pictures = world.peers[bob].pictures();
        assert!(pictures.len() > 55, "{codec:?}: {}", pictures.len());
        assert!(pictures[0].keyframe && pictures.iter().skip(1).all(|frame| frame.contiguous));
        for (frames, step) in [(pictures, 3_000), (world.peers[bob].sounds(), 960)] {
            assert!(frames.windows(2).all(|pair| pair[1].rtp_time - pair[0].rtp_time == step));
        }
        for (arrived, frame) in &world.peers[bob].frames {
            let capture = frame.capture_us.expect("a report came with the first packet");
            let age = world.wall.unix_us(*arrived) - capture;
            // Two links of 5 ms, two steps of 1 ms, and frames start on 1 ms steps; the first frame of a
            // line waits for its report. str0m's own epoch may be off by the time of its first use.
            assert!((4_500..130_000).contains(&age), "{:?} is {age} us old", frame.kind);
        }
    }
}

#[test]
fn lips_stay_in_sync_even_when_the_publishers_clock_is_minutes_off() {
    for skew_us in [0, 300_000_000, -300_000_000] {
        lips_in_sync(World::with_skew(skew_us, |_| {}));
    }
}

fn lips_in_sync(mut world: World) {
    let alice = world.publisher("alice", Codec::Vp8, &[]);
    let mut source = [Source::new(alice, Codec::Vp8)];
    world.stream(&mut source, 100);
    let bob = world.subscriber("bob", true);
    world.stream(&mut source, 3_000);
    let (pictures, sounds) = (world.peers[bob].pictures(), world.peers[bob].sounds());
    let closest = pictures
        .iter()
        .flat_map(|p| {
            sounds.iter().map(move |s| (p.capture_us.unwrap() - s.capture_us.unwrap()).abs())
        })
        .min();
    assert!(closest.unwrap() < 1_000, "{closest:?}");
}

#[test]
fn late_joiners_get_a_keyframe_although_the_encoder_makes_none_by_itself() {
    let mut world = World::new();
    let alice = world.publisher("alice", Codec::Vp8, &[]);
    let mut source = [Source::new(alice, Codec::Vp8)];
    world.stream(&mut source, 3_000);
    let bob = world.subscriber("bob", false);
    let joined = world.now;
    world.stream(&mut source, 300);
    let (first, frame) =
        &world.peers[bob].frames.iter().find(|(_, f)| f.kind == Kind::Video).unwrap();
    assert!(frame.keyframe);
    assert!((*first - joined).as_millis() < 200);
}

#[test]
fn muting_stops_a_track_for_everybody_and_unmuting_starts_with_a_keyframe() {
    let mut world = World::new();
    let alice = world.publisher("alice", Codec::Vp8, &[]);
    let mut source = [Source::new(alice, Codec::Vp8)];
    world.stream(&mut source, 100);
    let bob = world.subscriber("bob", false);
    world.stream(&mut source, 500);
    let track = world.track("alice", Kind::Video);
    world.sfu.mute(world.now, &track, true).unwrap();
    world.stream(&mut source, 100);
    let before = world.peers[bob].pictures().len();
    world.stream(&mut source, 500);
    assert_eq!(world.peers[bob].pictures().len(), before);
    world.sfu.mute(world.now, &track, false).unwrap();
    world.stream(&mut source, 500);
    let pictures = world.peers[bob].pictures();
    assert!(
        pictures.len() > before + 5 && pictures[before].keyframe && pictures[before].contiguous
    );
}

#[test]
fn a_burst_for_one_subscriber_leaves_in_one_send() {
    let mut world = World::new();
    let alice = world.publisher("alice", Codec::Vp8, &[]);
    let mut source = [Source::new(alice, Codec::Vp8)];
    source[0].layers[0].1 = 9_000;
    world.stream(&mut source, 100);
    let subscribers: Vec<usize> =
        (0..5).map(|i| world.subscriber(&format!("sub{i}"), true)).collect();
    world.stream(&mut source, 1_000);
    world.sends.clear();
    let before = world.sfu.stats(world.now).egress;
    world.stream(&mut source, 1_000);
    let after = world.sfu.stats(world.now).egress;

    for peer in subscribers {
        let to = world.peers[peer].address;
        let large = world.sends.iter().filter(|(dest, segment, _)| *dest == to && *segment > 900);
        let per_call: Vec<usize> =
            large.map(|(_, segment, bytes)| bytes.len().div_ceil(*segment)).collect();
        assert!((29..=31).contains(&per_call.len()), "one call a frame at 30 fps: {per_call:?}");
        assert!(per_call.iter().all(|&packets| packets >= 8), "{per_call:?}");
    }
    let (calls, packets) = (after.calls - before.calls, after.packets - before.packets);
    assert!(packets > calls * 3, "{packets} packets in {calls} calls");
}

#[test]
fn the_loudest_are_told_in_order_and_silence_is_told_too() {
    let mut world = World::new();
    let names = ["alice", "bob"];
    let mut sources: Vec<Source> = names
        .iter()
        .map(|name| {
            let peer = world.publisher(name, Codec::Vp8, &[]);
            Source::new(peer, Codec::Vp8)
        })
        .collect();
    sources[0].audio_level = -40;
    sources[1].audio_level = -15;
    world.stream(&mut sources, 1_000);
    let spoken = |world: &World| {
        world.events.iter().rev().find_map(|event| match &event.what {
            What::ActiveSpeakers { speakers } => {
                Some(speakers.iter().map(|(who, _)| who.to_string()).collect())
            }
            _ => None,
        })
    };
    assert_eq!(spoken(&world), Some(vec!["bob".to_owned(), "alice".to_owned()]));
    for source in &mut sources {
        source.audio_level = -127;
    }
    world.stream(&mut sources, 3_000);
    assert_eq!(spoken(&world), Some(Vec::new()));
}

#[test]
fn a_track_that_stops_is_told_and_its_return_too() {
    let mut world = World::new();
    let alice = world.publisher("alice", Codec::Vp8, &[]);
    let mut source = [Source::new(alice, Codec::Vp8)];
    world.stream(&mut source, 500);
    world.run(2_500);
    assert_eq!(world.count(|what| matches!(what, What::TrackStalled { .. })), 2);
    world.stream(&mut source, 200);
    assert_eq!(world.count(|what| matches!(what, What::TrackResumed { .. })), 2);
}
