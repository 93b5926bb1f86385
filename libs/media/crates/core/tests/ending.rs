//! How sessions end: consent, timeouts, goodbyes.

mod world;

use odeon_media_core::client::ClientWhat;
use odeon_media_core::codec::Codec;
use odeon_media_core::{Kind, Owner, What};
use world::{Source, World};

#[test]
fn a_viewer_that_vanishes_gets_nothing_after_15_s_and_is_closed_after_30() {
    let mut world = World::new();
    let alice = world.publisher("alice", Codec::Vp8, &[]);
    let mut source = [Source::new(alice, Codec::Vp8)];
    world.stream(&mut source, 100);
    let bob = world.subscriber("bob", false);
    world.stream(&mut source, 1_000);
    world.peers[bob].link.dead = true;
    world.stream(&mut source, 18_000);
    let to = world.peers[bob].address;
    world.sends.clear();
    world.stream(&mut source, 5_000);
    assert_eq!(
        world.sends.iter().filter(|(dest, ..)| *dest == to).count(),
        0,
        "no consent, no media"
    );
    assert_eq!(world.closed_because("bob"), None);
    world.stream(&mut source, 12_000);
    assert_eq!(world.closed_because("bob").as_deref(), Some("CONSENT_EXPIRED"));
    assert!(world.session("bob").is_none() && world.session("alice").is_some());
}

#[test]
fn a_viewer_that_comes_back_in_time_goes_on() {
    let mut world = World::new();
    let alice = world.publisher("alice", Codec::Vp8, &[]);
    let mut source = [Source::new(alice, Codec::Vp8)];
    world.stream(&mut source, 100);
    let bob = world.subscriber("bob", false);
    world.stream(&mut source, 1_000);
    world.peers[bob].link.dead = true;
    world.stream(&mut source, 8_000);
    world.peers[bob].link.dead = false;
    world.stream(&mut source, 1_000);
    let before = world.peers[bob].pictures().len();
    world.stream(&mut source, 2_000);
    assert!(world.peers[bob].pictures().len() > before + 50);
    assert_eq!(world.closed_because("bob"), None);
}

#[test]
fn a_session_that_never_connects_is_closed() {
    let mut world = World::new();
    let peer = world.join();
    let options = odeon_media_core::client::OfferOptions::receive_all();
    let offer = world.peers[peer].core.create_offer(world.now, &options).unwrap();
    let owner = Owner { session: "ghost", event: "ev", participant: "" };
    world.sfu.answer_whep(world.now, owner, &offer).unwrap();
    world.run(14_000);
    assert_eq!(world.closed_because("ghost"), None);
    world.run(2_000);
    assert_eq!(world.closed_because("ghost").as_deref(), Some("ICE_FAILED"));
    assert!(world.sfu.next_timeout().is_none_or(|at| at >= world.now));
}

#[test]
fn both_sides_say_goodbye() {
    let mut world = World::new();
    let alice = world.publisher("alice", Codec::Vp8, &[]);
    let mut source = [Source::new(alice, Codec::Vp8)];
    world.stream(&mut source, 200);
    let now = world.now;
    world.peers[alice].core.close(now);
    world.run(100);
    assert_eq!(world.closed_because("alice").as_deref(), Some("CLIENT_CLOSED"));
    assert_eq!(world.count(|what| matches!(what, What::TrackUnpublished { .. })), 2);
    assert!(world.sfu.track_stats(None).is_empty());

    let bob = world.publisher("bob", Codec::Vp8, &[]);
    assert!(world.sfu.close(world.now, "bob", "KICKED"));
    world.run(100);
    assert_eq!(world.closed_because("bob").as_deref(), Some("KICKED"));
    let told = |event: &odeon_media_core::client::ClientEvent| {
        matches!(event.what, ClientWhat::Closed { .. })
    };
    assert!(world.peers[bob].events.iter().any(told));
}

#[test]
fn a_subscriber_is_told_to_renegotiate_when_a_publisher_leaves() {
    let mut world = World::new();
    let alice = world.publisher("alice", Codec::Vp8, &[]);
    let mut source = [Source::new(alice, Codec::Vp8)];
    world.stream(&mut source, 200);
    let bob = world.subscriber("bob", false);
    world.stream(&mut source, 200);
    world.sfu.close(world.now, "alice", "LEFT");
    world.run(10);
    assert!(world.count(|what| *what == What::NegotiationNeeded) >= 1);
    world.negotiate("bob", bob);
    assert!(world.peers[bob].core.medias().iter().all(|media| media.direction == "inactive"));

    let carol = world.publisher("carol", Codec::Vp8, &[]);
    let mut source = [Source::new(carol, Codec::Vp8)];
    world.stream(&mut source, 200);
    let before = world.peers[bob].pictures().len();
    let track = world.track("carol", Kind::Video);
    assert!(world.sfu.subscribe(world.now, "bob", &track, None, 0).unwrap().needs_offer);
    world.negotiate("bob", bob);
    world.stream(&mut source, 500);
    assert!(world.peers[bob].pictures().len() > before + 8, "the line is used again");
    assert_eq!(world.sfu.slots("bob").unwrap().len(), 2);
}
