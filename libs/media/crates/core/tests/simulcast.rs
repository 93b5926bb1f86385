//! Layers: choosing, switching at keyframes, living with a narrow path and with a lying publisher.

mod world;

use std::time::Duration;

use odeon_media_core::codec::Codec;
use odeon_media_core::{ErrorClass, Kind, What};
use world::{Source, World};

/// About 100, 400 and 1200 kb/s at 30 fps.
const LAYERS: [(&str, usize); 3] = [("q", 420), ("h", 1_650), ("f", 5_000)];

fn simulcast(codec: Codec) -> (World, Source) {
    let mut world = World::new();
    let alice = world.publisher("alice", codec, &["q", "h", "f"]);
    let mut source = [Source::simulcast(alice, codec, &LAYERS)];
    world.stream(&mut source, 1_500);
    let [source] = source;
    (world, source)
}

fn layer_of(world: &World, session: &str) -> Option<String> {
    let slots = world.session(session)?.slots;
    slots.into_iter().find(|slot| slot.kind == Kind::Video)?.layer
}

fn freezes(world: &World, peer: usize, from: u64) -> u128 {
    let arrivals: Vec<_> = world.peers[peer]
        .frames
        .iter()
        .filter(|(at, frame)| {
            frame.kind == Kind::Video && (*at - world.start).as_millis() as u64 >= from
        })
        .map(|(at, _)| *at)
        .collect();
    arrivals.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).max().unwrap_or(0)
}

#[test]
fn a_pinned_subscriber_gets_the_layer_it_names_and_switches_without_a_seam() {
    for codec in [Codec::Vp8, Codec::H264] {
        let (mut world, source) = simulcast(codec);
        let mut source = [source];
        let bob = world.subscriber("bob", true);
        let track = world.track("alice", Kind::Video);
        world.stream(&mut source, 500);
        for wanted in ["q", "f", "h"] {
            world.sfu.subscribe(world.now, "bob", &track, Some(wanted), 0).unwrap();
            world.stream(&mut source, 1_000);
            assert_eq!(layer_of(&world, "bob").as_deref(), Some(wanted));
        }
        let pictures = world.peers[bob].pictures();
        assert!(pictures.len() > 80, "{}", pictures.len());
        for pair in pictures.windows(2) {
            assert!(pair[1].contiguous && pair[1].sequence.0 == pair[0].sequence.1 + 1);
            let step = pair[1].rtp_time - pair[0].rtp_time;
            assert!((1..=9_100).contains(&step), "a step of {step} ticks");
        }
        let sizes: Vec<usize> = pictures.iter().map(|frame| frame.data.len()).collect();
        let switches = pictures.windows(2).filter(|pair| {
            let (a, b) = (pair[0].data.len(), pair[1].data.len());
            !pair[1].keyframe && (a * 2 < b || b * 2 < a) && !pair[0].keyframe
        });
        assert_eq!(switches.count(), 0, "a layer begins with its keyframe: {sizes:?}");
    }
}

#[test]
fn a_layer_that_does_not_exist_is_refused() {
    let (mut world, _) = simulcast(Codec::Vp8);
    world.subscriber("bob", true);
    let track = world.track("alice", Kind::Video);
    let refusal = world.sfu.subscribe(world.now, "bob", &track, Some("zz"), 0).unwrap_err();
    assert_eq!((refusal.class, refusal.reason), (ErrorClass::Argument, "UNKNOWN_LAYER"));
}

#[test]
fn a_path_of_600_kb_s_gets_a_lower_layer_within_1_s_and_the_best_again_within_10_s_of_relief() {
    // The statistics that tell of a collapse come every 200 ms: their phase must not matter.
    for offset in [0, 70, 140] {
        for codec in [Codec::Vp8, Codec::H264] {
            limit_and_lift(codec, offset);
        }
    }
}

fn limit_and_lift(codec: Codec, offset: u64) {
    let (mut world, source) = simulcast(codec);
    let mut source = [source];
    let bob = world.subscriber("bob", false);
    world.stream(&mut source, 6_000 + offset);
    assert_eq!(layer_of(&world, "bob").as_deref(), Some("f"), "{:?}", world.session("bob"));

    let limited = world.ms();
    world.peers[bob].link.down_bps = Some(600_000);
    let mut lowered = None;
    for _ in 0..150 {
        world.stream(&mut source, 100);
        if lowered.is_none() && layer_of(&world, "bob").as_deref() != Some("f") {
            lowered = Some(world.ms() - limited);
        }
    }
    let session = world.session("bob").unwrap();
    assert!(lowered.is_some_and(|ms| ms <= 1_000), "{lowered:?} {session:?}");
    // Our own client even waits for retransmissions; players skip to the keyframe.
    let freeze = freezes(&world, bob, limited);
    assert!(freeze < 1_000, "{codec:?} from {offset}: {freeze} ms");
    assert!(world.peers[bob].sounds().len() > 900, "audio is not starved");

    world.peers[bob].link.down_bps = None;
    let lifted = world.ms();
    while layer_of(&world, "bob").as_deref() != Some("f") {
        world.stream(&mut source, 100);
        let waited = world.ms() - lifted;
        assert!(waited <= 10_000, "{:?}", world.session("bob"));
    }
}

#[test]
fn a_path_that_narrows_a_little_is_no_collapse() {
    let (mut world, source) = simulcast(Codec::Vp8);
    let mut source = [source];
    let bob = world.subscriber("bob", false);
    world.stream(&mut source, 6_000);
    let began = world.ms();
    world.peers[bob].link.down_bps = Some(1_500_000);
    world.stream(&mut source, 8_000);
    assert_eq!(layer_of(&world, "bob").as_deref(), Some("f"), "{:?}", world.session("bob"));
    assert!(freezes(&world, bob, began) < 300, "{} ms", freezes(&world, bob, began));
}

/// What a subscriber saw who starts on a narrow path, gets all of it and is limited again.
struct Narrowed {
    world: World,
    bob: usize,
    /// The layer before the path was opened.
    began_with: Option<String>,
    /// When the path was limited again.
    limited: u64,
    /// The layer from then on, every 500 ms, and the estimate.
    seen: Vec<(Option<String>, Option<u64>)>,
}

fn narrowed(codec: Codec, bps: u64, offset: u64) -> Narrowed {
    let (mut world, source) = simulcast(codec);
    let mut source = [source];
    let bob = world.subscriber("bob", false);
    world.peers[bob].link.down_bps = Some(bps);
    world.stream(&mut source, 8_000);
    let began_with = layer_of(&world, "bob");
    world.peers[bob].link.down_bps = None;
    world.stream(&mut source, 8_000 + offset);
    let limited = world.ms();
    world.peers[bob].link.down_bps = Some(bps);
    let mut seen = Vec::new();
    for _ in 0..20 {
        world.stream(&mut source, 500);
        seen.push((layer_of(&world, "bob"), world.session("bob").unwrap().estimate_bps));
    }
    Narrowed { world, bob, began_with, limited, seen }
}

/// The path of a subscriber who starts narrow is limited at three phases of the statistics.
fn narrowed_in_all_ways(bps: u64) -> impl Iterator<Item = (Narrowed, String)> {
    let ways = [Codec::Vp8, Codec::H264]
        .into_iter()
        .flat_map(|codec| [0, 70, 140].into_iter().map(move |offset| (codec, offset)));
    ways.map(move |(codec, offset)| {
        let narrowed = narrowed(codec, bps, offset);
        let (first, seen) = (&narrowed.began_with, &narrowed.seen);
        let case = format!("{codec:?} on {bps} from {offset}: {first:?}, then {seen:?}");
        (narrowed, case)
    })
}

#[test]
fn a_subscriber_who_starts_narrow_and_is_limited_again_keeps_what_fits() {
    for bps in [600_000, 800_000] {
        for (Narrowed { world, bob, began_with, limited, seen }, case) in narrowed_in_all_ways(bps)
        {
            assert_eq!(began_with.as_deref(), Some("h"), "{case}");
            let from_1_s = &seen[2..];
            assert!(from_1_s.iter().all(|(layer, _)| layer.as_deref() == Some("h")), "{case}");
            assert!(freezes(&world, bob, limited) < 1_200, "{case}");
        }
    }
}

#[test]
fn a_path_that_bears_the_lowest_layer_only_gets_that_and_its_sound() {
    for (Narrowed { world, bob, began_with, limited, seen }, case) in narrowed_in_all_ways(400_000)
    {
        assert_eq!(began_with.as_deref(), Some("q"), "{case}");
        let from_2_s = &seen[4..];
        assert!(from_2_s.iter().all(|(layer, _)| layer.as_deref() == Some("q")), "{case}");
        // The middle layer is tried first.
        assert!(freezes(&world, bob, limited) < 2_000, "{case}");
        let begin = world.start + Duration::from_millis(limited);
        let frames = world.peers[bob].frames.iter();
        let sounds = frames.filter(|(at, frame)| frame.kind == Kind::Audio && *at >= begin);
        assert!(sounds.count() > 440, "of 500: {case}");
    }
}

#[test]
fn a_layer_that_dies_is_replaced_by_the_best_that_lives() {
    let (mut world, source) = simulcast(Codec::Vp8);
    let mut source = [source];
    let bob = world.subscriber("bob", true);
    let track = world.track("alice", Kind::Video);
    world.sfu.subscribe(world.now, "bob", &track, Some("f"), 0).unwrap();
    world.stream(&mut source, 1_000);
    assert_eq!(layer_of(&world, "bob").as_deref(), Some("f"));
    source[0].layers.pop();
    let stopped = world.ms();
    world.stream(&mut source, 4_000);
    assert_eq!(layer_of(&world, "bob").as_deref(), Some("h"));
    assert!(freezes(&world, bob, stopped) < 2_500);
    assert!(
        world.count(|what| matches!(what, What::TrackLayers { layers, .. } if layers.len() == 2))
            > 0
    );
}

#[test]
fn a_publisher_that_lies_about_its_layers_disturbs_nobody() {
    let mut world = World::new();
    let liar = world.publisher("alice", Codec::Vp8, &["q", "h", "f"]);
    let honest = world.publisher("carol", Codec::Vp8, &[]);
    // The "highest" layer is the smallest, and one announced layer never comes.
    let mut sources = [
        Source::simulcast(liar, Codec::Vp8, &[("q", 5_000), ("f", 400)]),
        Source::new(honest, Codec::Vp8),
    ];
    world.stream(&mut sources, 1_000);
    let bob = world.subscriber("bob", false);
    world.stream(&mut sources, 3_000);
    let medias = world.peers[bob].core.medias();
    for track in [world.track("alice", Kind::Video), world.track("carol", Kind::Video)] {
        let mid = medias
            .iter()
            .find(|media| media.track.as_deref() == Some(&*track))
            .unwrap()
            .mid
            .clone();
        let frames =
            world.peers[bob].pictures().into_iter().filter(|frame| frame.mid == mid).count();
        assert!(frames > 60, "{track}: {frames}");
    }
    let track = world.track("alice", Kind::Video);
    let pinned = world.subscriber("pin", true);
    world.sfu.subscribe(world.now, "pin", &track, Some("h"), 0).unwrap();
    world.stream(&mut sources, 1_000);
    assert!(!world.peers[pinned].pictures().is_empty(), "a layer that never comes falls back");
}
