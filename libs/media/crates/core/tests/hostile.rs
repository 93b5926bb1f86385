//! Garbage at the port, strange SDP, and sessions that are not theirs.

mod world;

use std::net::SocketAddr;

use odeon_media_core::codec::Codec;
use odeon_media_core::{ErrorClass, Owner};
use world::{Sends, Source, World};

/// A small generator, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn datagram(&mut self, first: std::ops::Range<u8>) -> Vec<u8> {
        let length = 1 + self.next() as usize % 1_400;
        let mut bytes: Vec<u8> = (0..length).map(|_| self.next() as u8).collect();
        bytes[0] = first.start + (self.next() as u8) % (first.end - first.start);
        bytes
    }
}

/// STUN, DTLS, RTP and RTCP, ZRTP, TURN channels: RFC 7983.
const FIRST_BYTES: [std::ops::Range<u8>; 5] = [0..2, 20..64, 128..192, 16..20, 64..80];

fn is_silent(world: &mut World) -> bool {
    let mut sends = Sends::default();
    world.sfu.flush(world.now, &mut sends);
    sends.0.is_empty()
}

#[test]
fn garbage_from_strangers_is_dropped_without_an_answer() {
    let mut world = World::new();
    let stranger = SocketAddr::from(([203, 0, 113, 9], 4444));
    let mut dice = Dice(42);
    for round in 0..5_000 {
        let datagram = dice.datagram(FIRST_BYTES[round % FIRST_BYTES.len()].clone());
        world.sfu.handle_datagram(world.now, stranger, &datagram);
    }
    // A well-formed binding request for nobody, with a magic cookie.
    let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    request.extend([7; 12]);
    world.sfu.handle_datagram(world.now, stranger, &request);
    world.sfu.handle_datagram(world.now, stranger, &[]);
    assert!(is_silent(&mut world));
    let stats = world.sfu.stats(world.now);
    assert_eq!((stats.packets_in, stats.packets_dropped), (5_002, 5_002));
}

#[test]
fn a_client_hello_that_overtakes_ice_is_dropped_and_the_real_call_connects() {
    let mut world = World::new();
    let peer = world.join();
    let options = odeon_media_core::client::OfferOptions::receive_all();
    let offer = world.peers[peer].core.create_offer(world.now, &options).unwrap();
    let owner = Owner { session: "viewer", event: "ev", participant: "" };
    let answer = world.sfu.answer_whep(world.now, owner, &offer).unwrap();
    let hello = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let address = world.peers[peer].address;
    world.sfu.handle_datagram(world.now, address, &hello);
    world.sfu.handle_datagram(world.now, SocketAddr::from(([203, 0, 113, 9], 1)), &hello);
    assert!(is_silent(&mut world));
    world.peers[peer].core.set_answer(world.now, &answer).unwrap();
    world.run_until("the viewer connects", |world| world.peers[peer].core.stats().connected);
}

#[test]
fn garbage_from_a_participants_own_address_ends_nothing() {
    let mut world = World::new();
    let alice = world.publisher("alice", Codec::Vp8, &[]);
    let mut source = [Source::new(alice, Codec::Vp8)];
    world.stream(&mut source, 300);
    let bob = world.subscriber("bob", false);
    world.stream(&mut source, 500);
    let mut dice = Dice(7);
    for round in 0..3_000 {
        let datagram = dice.datagram(FIRST_BYTES[round % FIRST_BYTES.len()].clone());
        for peer in [alice, bob] {
            let from = world.peers[peer].address;
            world.sfu.handle_datagram(world.now, from, &datagram);
        }
        if round % 10 == 0 {
            world.stream(&mut source, 1);
        }
    }
    let before = world.peers[bob].pictures().len();
    world.stream(&mut source, 2_000);
    assert!(world.peers[bob].pictures().len() > before + 50);
    assert_eq!((world.closed_because("alice"), world.closed_because("bob")), (None, None));
}

#[test]
fn replayed_and_altered_packets_are_not_forwarded() {
    let mut world = World::new();
    let alice = world.publisher("alice", Codec::Vp8, &[]);
    let mut source = [Source::new(alice, Codec::Vp8)];
    world.stream(&mut source, 300);
    let bob = world.subscriber("bob", false);
    world.stream(&mut source, 500);
    let from = world.peers[alice].address;
    let forwarded = world.sfu.stats(world.now).forwarded_packets;
    let mut packet = vec![0x80, 96];
    packet.extend([0; 200]);
    for sequence in 0..500u16 {
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        world.sfu.handle_datagram(world.now, from, &packet);
    }
    assert_eq!(world.sfu.stats(world.now).forwarded_packets, forwarded);
    world.stream(&mut source, 500);
    assert!(world.peers[bob].pictures().iter().skip(1).all(|frame| frame.contiguous));
}

#[test]
fn sdp_that_is_too_large_broken_or_half_broken_is_refused_and_nothing_stays_behind() {
    let mut world = World::new();
    let peer = world.join();
    let options = odeon_media_core::client::OfferOptions::receive_all();
    let offer = world.peers[peer].core.create_offer(world.now, &options).unwrap();
    let owner = Owner { session: "s", event: "ev", participant: "p" };
    let many = format!("{offer}{}", "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n".repeat(500));
    let without = |name: &str| -> String {
        let lines = offer.lines().filter(|line| !line.starts_with(name));
        lines.map(|line| format!("{line}\r\n")).collect()
    };
    let cases = [
        "a".repeat(1 << 20),
        "v=0\r\n".to_owned(),
        "\0\u{1}\u{2}".to_owned(),
        "v=0\nm=audio 9 x 1\na=\u{fffd}\n".to_owned(),
        many,
        without("a=ice-ufrag"),
        without("a=fingerprint"),
        without("a=ice-pwd"),
        offer.replace("sha-256", "sha-999"),
        offer[..offer.len() / 3].to_owned(),
    ];
    for case in cases {
        let refusal = world.sfu.answer_publish(world.now, owner, &case);
        let refusal = refusal.err().map(|error| error.class);
        if refusal != Some(ErrorClass::Sdp) && refusal != Some(ErrorClass::Limit) {
            // What parses may be answered; it must then be an ordinary session that can be closed.
            assert_eq!(refusal, None);
            assert!(world.sfu.close(world.now, "s", "TEST"));
        }
    }
    assert!(world.sfu.stats(world.now).sessions.is_empty());
}

#[test]
fn mutated_offers_never_panic() {
    let mut world = World::new();
    let peer = world.join();
    let options = odeon_media_core::client::OfferOptions::receive_all();
    let offer = world.peers[peer].core.create_offer(world.now, &options).unwrap().into_bytes();
    let mut dice = Dice(99);
    for round in 0..1_500 {
        let mut bytes = offer.clone();
        for _ in 0..1 + dice.next() % 8 {
            let at = dice.next() as usize % bytes.len();
            match dice.next() % 3 {
                0 => bytes[at] = b' ' + (dice.next() % 95) as u8,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, b'0' + (dice.next() % 10) as u8),
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let session = format!("s{round}");
        let owner = Owner { session: &session, event: "ev", participant: "p" };
        let answered = if round % 2 == 0 {
            world.sfu.answer_publish(world.now, owner, &text)
        } else {
            world.sfu.answer_whep(world.now, owner, &text)
        };
        if answered.is_ok() {
            assert!(world.sfu.close(world.now, &session, "TEST"));
        }
    }
}

#[test]
fn one_tenants_tracks_cannot_be_reached_from_another_event() {
    let mut world = World::new();
    let alice = world.publisher("alice", Codec::Vp8, &[]);
    let mut source = [Source::new(alice, Codec::Vp8)];
    world.stream(&mut source, 100);
    let owner = Owner { session: "spy", event: "other", participant: "spy" };
    world.sfu.open_subscriber(world.now, owner, false, false).unwrap();
    for track in world.sfu.track_stats(None) {
        let refusal = world.sfu.subscribe(world.now, "spy", &track.track, None, 0).unwrap_err();
        assert_eq!(refusal.reason, "TRACK_OF_OTHER_EVENT");
    }
}
