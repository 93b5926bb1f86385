//! NATS: revocations in, load reports out. Never given up; nothing waits for it.
use super::Trust;
use crate::drain::Signs;
use crate::log;
use crate::proto::events::envelope::Fact;
use crate::proto::events::{EdgeEventLoad, EdgeLoadReported, Envelope};
use crate::report::{Load, Loads};
use crate::session::Revocation;
use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use futures_util::StreamExt;
use prost::Message;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Facts of revoked sessions, of every tenant.
const REVOKED: &str = "odeon.evt.auth.session.revoked.v1.>";
const PING: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(3);
const MAX_RETRY: Duration = Duration::from_secs(2);
/// Events in one report: the largest; a message of 1 MB would hold 10,000.
const MAX_EVENTS: usize = 5000;

/// A client that connects now or later, for ever.
pub async fn connect(trust: Arc<Trust>, url: &str, name: &str) -> Client {
    let mut wait = Duration::from_millis(100);
    loop {
        let heard = trust.clone();
        let options = ConnectOptions::new()
            .name(name)
            .retry_on_initial_connect()
            .max_reconnects(None)
            .ping_interval(PING)
            .connection_timeout(CONNECT)
            .reconnect_delay_callback(|tries| {
                MAX_RETRY.min(Duration::from_millis(100 * tries as u64))
            })
            .event_callback(move |event| {
                let trust = heard.clone();
                async move { note(&trust, &event) }
            });
        let options = match credentials(url) {
            Some((user, password)) => options.user_and_password(user, password),
            None => options,
        };
        let servers: Vec<&str> = url.split(',').collect();
        match options.connect(servers).await {
            Ok(client) => return client,
            Err(error) => log::warn("nats.not_connected", json!({"error": error.to_string()})),
        }
        sleep(wait).await;
        wait = MAX_RETRY.min(wait * 2);
    }
}

/// User and password of the first server that names them; the client library leaves them in the URL.
fn credentials(url: &str) -> Option<(String, String)> {
    url.split(',').find_map(|server| {
        let server: ServerAddr = server.parse().ok()?;
        Some((server.username()?.into(), server.password()?.into()))
    })
}

fn note(trust: &Trust, event: &Event) {
    match event {
        Event::Connected => trust.nats_up.store(true, Relaxed),
        Event::Disconnected | Event::Closed => trust.nats_up.store(false, Relaxed),
        _ => {}
    }
    log::info("nats.event", json!({"what": event.to_string()}));
}

/// Takes revocations for ever.
pub async fn follow(trust: Arc<Trust>, client: Client) {
    loop {
        let Ok(mut facts) = client.subscribe(REVOKED).await else {
            sleep(MAX_RETRY).await;
            continue;
        };
        while let Some(message) = facts.next().await {
            match revocation(&message.payload) {
                Some(revocation) => trust.revoke([revocation]),
                None => log::warn(
                    "nats.fact_broken",
                    json!({"subject": message.subject.as_str()}),
                ),
            }
        }
    }
}

fn revocation(body: &[u8]) -> Option<Revocation> {
    let envelope = Envelope::decode(body).ok()?;
    let Some(Fact::SessionRevoked(fact)) = envelope.fact else {
        return None;
    };
    let expires = fact
        .expire_time
        .map_or(0, |at| u64::try_from(at.seconds).unwrap_or(0));
    Some(Revocation {
        tenant: envelope.tenant_id,
        session: fact.session_id,
        expires,
    })
}

/// Takes the load every `every`, and at once when the drain moves on; publishes it where NATS is known.
pub async fn report(loads: Arc<Loads>, client: Option<Client>, every: Duration, mut drain: Signs) {
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = drain.moved() => {}
        }
        let load = loads.take();
        if let Some(client) = &client {
            let subject = format!("odeon.load.edge.load.reported.v1.system.{}", load.edge);
            // Queued or dropped; the next report says it all again.
            let _ = client
                .publish(subject, envelope(&load).encode_to_vec().into())
                .await;
        }
    }
}

fn envelope(load: &Load) -> Envelope {
    let events = load
        .events
        .iter()
        .take(MAX_EVENTS)
        .map(|event| EdgeEventLoad {
            tenant_id: event.tenant.clone(),
            event_id: event.event.clone(),
            viewers: i32::try_from(event.viewers).unwrap_or(i32::MAX),
            egress_bytes_total: event.egress_bytes_total,
        });
    let report = EdgeLoadReported {
        edge: load.edge.clone(),
        public_url: load.public_url.clone(),
        draining: load.draining,
        connections: i32::try_from(load.connections).unwrap_or(i32::MAX),
        egress_bytes_total: load.egress_bytes_total,
        requests_total: load.requests_total,
        events: events.collect(),
    };
    let mut id = [0u8; 12];
    // Without randomness the id stays zero; a load report is not deduplicated.
    let _ = aws_lc_rs::rand::fill(&mut id);
    Envelope {
        id: id.map(|byte| format!("{byte:02x}")).concat(),
        tenant_id: "system".into(),
        occur_time: Some(SystemTime::now().into()),
        fact: Some(Fact::EdgeLoadReported(report)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::events::SessionRevoked;

    #[test]
    fn a_revocation_is_read_from_its_envelope() {
        let fact = SessionRevoked {
            session_id: "s1".into(),
            expire_time: None,
        };
        let envelope = Envelope {
            tenant_id: "acme".into(),
            fact: Some(Fact::SessionRevoked(fact)),
            ..Default::default()
        };
        let wanted = Revocation {
            tenant: "acme".into(),
            session: "s1".into(),
            expires: 0,
        };
        assert_eq!(revocation(&envelope.encode_to_vec()), Some(wanted));
        assert_eq!(revocation(b"garbage"), None);
        assert_eq!(revocation(b""), None, "another fact");
    }
}
