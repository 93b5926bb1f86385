//! An edge in a pool: reports its load to the operator and obeys drain records.
//!
//! Reports and records are NATS KV, as `proto/odeon/pools/v1/pools.proto` says; the buckets are made
//! by the operator or by a transcoder. A record makes the edge retreat: content steering hears at once
//! that it drains, and after the drain's notice it is not ready and lets connections go. It says that
//! it obeys from then on. It refuses nobody, so the operator waits until nobody is here.
//!
//! While a record cannot be read, everything stays as it is.
use crate::drain::{Drain, Phase, Retreat};
use crate::log;
use crate::proto::pools::{DrainRecord, PodReport};
use crate::report::Loads;
use async_nats::Client;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use prost::Message;
use prost_types::Timestamp;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

const PATIENCE: Duration = Duration::from_secs(2);
/// A report is gone after 15 s.
const SELDOM: Duration = Duration::from_secs(5);
/// JetStream's error code for a key without a trace.
const NO_MESSAGE: u64 = 10037;

/// Which pod of which pool this is.
#[derive(Debug, Clone)]
pub struct Member {
    /// Name of the pool.
    pub pool: String,
    /// Name of the pod, for people.
    pub pod: String,
    /// UID of the pod's Kubernetes object.
    pub uid: String,
}

/// Whether a text can be a UID, and names one key and no others.
pub fn is_uid(text: &str) -> bool {
    (1..=80).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// What stands under the pod's key.
#[derive(Debug, Clone, PartialEq)]
enum Found {
    Record(DrainRecord),
    /// The marker of a record that was withdrawn.
    Withdrawn,
    /// No trace of a record.
    Nothing,
}

/// The drain that this process obeys.
#[derive(Debug, Default)]
struct Obedience {
    asked: Option<(DrainRecord, Instant)>,
}

impl Obedience {
    /// Takes in what was read. A record that is gone without its withdrawal holds: the bucket was lost.
    fn hear(&mut self, found: Found, now: Instant) {
        match (found, &mut self.asked) {
            (Found::Record(record), Some((held, _))) => *held = record,
            (Found::Record(record), none) => {
                let DrainRecord {
                    reason, asked_by, ..
                } = &record;
                log::info(
                    "pool.draining",
                    json!({"reason": reason, "asked_by": asked_by}),
                );
                *none = Some((record, now));
            }
            (Found::Withdrawn, held) => {
                if held.take().is_some() {
                    log::info("pool.undrained", json!({}));
                }
            }
            (Found::Nothing, _) => {}
        }
    }

    fn retreat(&self, now: Instant, notice: Duration) -> Retreat {
        match &self.asked {
            None => Retreat::Staying,
            Some((_, since)) if now.duration_since(*since) < notice => Retreat::Asked,
            Some(_) => Retreat::Away,
        }
    }

    /// The time that names the drain, once it is obeyed.
    fn obeyed(&self, retreat: Retreat) -> Option<Timestamp> {
        match (&self.asked, retreat) {
            (Some((record, _)), Retreat::Away) => record.ask_time,
            _ => None,
        }
    }
}

/// Reports and obeys.
pub struct Agent {
    member: Member,
    loads: Arc<Loads>,
    drain: Arc<Drain>,
    notice: Duration,
    run_id: String,
    obedience: Obedience,
    counted: (u64, Instant),
    /// Troubles that were told and last.
    troubled: bool,
}

impl Agent {
    /// One for this run of the process; `notice` is how long content steering takes.
    pub fn new(member: Member, loads: Arc<Loads>, drain: Arc<Drain>, notice: Duration) -> Self {
        let mut id = [0u8; 8];
        // Without randomness every run has the same id, and the operator forgets less than it could.
        let _ = aws_lc_rs::rand::fill(&mut id);
        Agent {
            member,
            loads,
            drain,
            notice,
            run_id: id.map(|byte| format!("{byte:02x}")).concat(),
            obedience: Obedience::default(),
            counted: (0, Instant::now()),
            troubled: false,
        }
    }

    /// Reads the record and reports, at every second load report; for ever.
    pub async fn run(mut self, store: Store, report_every: Duration) {
        let mut tick = interval((report_every * 2).min(SELDOM));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut signs = self.drain.watch();
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = signs.moved() => {}
            }
            let told = self.turn(&store).await;
            if let (Err(error), false) = (&told, self.troubled) {
                log::warn("pool.unheard", json!({"error": error}));
            }
            self.troubled = told.is_err();
        }
    }

    async fn turn(&mut self, store: &Store) -> Result<(), String> {
        let read = store.record().await;
        let now = Instant::now();
        let unread = read.map(|found| self.obedience.hear(found, now));
        let retreat = self.obedience.retreat(now, self.notice);
        // First done, then said.
        self.drain.set_retreat(retreat);
        let report = self.report(retreat, now);
        let reported = store.report(report).await;
        unread.and(reported)
    }

    fn report(&mut self, retreat: Retreat, now: Instant) -> PodReport {
        let load = self.loads.latest();
        let (bytes, since) = self.counted;
        self.counted = (load.egress_bytes_total, now);
        let sent = load.egress_bytes_total.saturating_sub(bytes) as f64;
        let seconds = now.duration_since(since).as_secs_f64().max(0.001);
        let viewers = i32::try_from(load.viewers).unwrap_or(i32::MAX);
        PodReport {
            pool: self.member.pool.clone(),
            pod: self.member.pod.clone(),
            pod_uid: self.member.uid.clone(),
            run_id: self.run_id.clone(),
            sessions: viewers,
            viewers,
            egress_bps: (sent * 8.0 / seconds) as i64,
            obeyed_drain_time: self.obedience.obeyed(retreat),
            ready: self.drain.phase() == Phase::Serving,
            ..Default::default()
        }
    }
}

/// The pod's keys in the two buckets, by JetStream's plain requests.
pub struct Store {
    client: Client,
    uid: String,
}

#[derive(Deserialize)]
struct Reply {
    error: Option<Refused>,
    message: Option<Stored>,
}

#[derive(Deserialize)]
struct Refused {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
struct Stored {
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
}

impl Store {
    /// The keys of one pod.
    pub fn new(client: Client, uid: String) -> Self {
        Store { client, uid }
    }

    /// What the leader of the bucket's stream knows; an error is not "no record".
    async fn record(&self) -> Result<Found, String> {
        let wanted = json!({"last_by_subj": format!("$KV.odeon_pool_drains.{}", self.uid)});
        let subject = "$JS.API.STREAM.MSG.GET.KV_odeon_pool_drains".to_owned();
        let reply = self.ask(subject, wanted.to_string().into_bytes()).await?;
        found(&reply)
    }

    async fn report(&self, report: PodReport) -> Result<(), String> {
        let subject = format!("$KV.odeon_pool_reports.{}", self.uid);
        let reply = self.ask(subject, report.encode_to_vec()).await?;
        match parsed(&reply)?.error {
            Some(refused) => Err(refused.description),
            None => Ok(()),
        }
    }

    async fn ask(&self, subject: String, body: Vec<u8>) -> Result<Vec<u8>, String> {
        match timeout(PATIENCE, self.client.request(subject, body.into())).await {
            Ok(Ok(message)) => Ok(message.payload.to_vec()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("NATS does not answer".into()),
        }
    }
}

fn parsed(reply: &[u8]) -> Result<Reply, String> {
    serde_json::from_slice(reply).map_err(|e| format!("NATS answers strangely: {e}"))
}

fn found(reply: &[u8]) -> Result<Found, String> {
    let stored = match parsed(reply)? {
        Reply {
            error: None,
            message: Some(stored),
        } => stored,
        Reply {
            error: Some(refused),
            ..
        } if refused.err_code == NO_MESSAGE => {
            return Ok(Found::Nothing);
        }
        Reply { error, .. } => return Err(error.map_or_else(String::new, |e| e.description)),
    };
    let bytes = |text: &str| BASE64_STANDARD.decode(text).map_err(|e| e.to_string());
    let headers = String::from_utf8_lossy(&bytes(&stored.hdrs)?).into_owned();
    let marks = [
        "KV-Operation: DEL",
        "KV-Operation: PURGE",
        "Nats-Marker-Reason:",
    ];
    if headers
        .lines()
        .any(|line| marks.iter().any(|mark| line.starts_with(mark)))
    {
        return Ok(Found::Withdrawn);
    }
    // One that cannot be read stands all the same, and is not acknowledged.
    let record = DrainRecord::decode(&*bytes(&stored.data)?).unwrap_or_default();
    Ok(Found::Record(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTICE: Duration = Duration::from_secs(15);

    fn record(seconds: i64) -> DrainRecord {
        DrainRecord {
            ask_time: Some(Timestamp { seconds, nanos: 7 }),
            ..Default::default()
        }
    }

    fn reply(hdrs: &str, data: &[u8]) -> Vec<u8> {
        let (hdrs, data) = (BASE64_STANDARD.encode(hdrs), BASE64_STANDARD.encode(data));
        json!({"message": {"seq": 1, "hdrs": hdrs, "data": data}})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn an_absence_is_told_from_a_withdrawal_and_from_not_knowing() {
        let asked = record(5);
        let read = |hdrs: &str| found(&reply(hdrs, &asked.encode_to_vec()));
        assert_eq!(read(""), Ok(Found::Record(asked.clone())));
        for mark in [
            "KV-Operation: DEL",
            "KV-Operation: PURGE",
            "Nats-Marker-Reason: MaxAge",
        ] {
            assert_eq!(
                read(&format!("NATS/1.0\r\n{mark}\r\n\r\n")),
                Ok(Found::Withdrawn)
            );
        }
        let refusal = |code: u64| json!({"error": {"code": 404, "err_code": code}}).to_string();
        assert_eq!(found(refusal(10037).as_bytes()), Ok(Found::Nothing));
        assert!(found(refusal(10059).as_bytes()).is_err(), "no such bucket");
        assert!(found(b"{}").is_err() && found(b"").is_err());
        let garbage = found(&reply("", b"\xff\xff"));
        assert_eq!(garbage, Ok(Found::Record(DrainRecord::default())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_is_obeyed_after_its_notice_and_until_it_is_withdrawn() {
        let (mut obedience, start) = (Obedience::default(), Instant::now());
        obedience.hear(Found::Record(record(5)), start);
        assert_eq!(obedience.retreat(start, NOTICE), Retreat::Asked);
        assert_eq!(obedience.obeyed(Retreat::Asked), None);
        let later = start + NOTICE;
        assert_eq!(obedience.retreat(later, NOTICE), Retreat::Away);
        assert_eq!(obedience.obeyed(Retreat::Away), record(5).ask_time);
        obedience.hear(Found::Record(record(6)), later);
        assert_eq!(
            obedience.retreat(later, NOTICE),
            Retreat::Away,
            "said long ago"
        );
        obedience.hear(Found::Nothing, later);
        assert_eq!(obedience.obeyed(Retreat::Away), record(6).ask_time);
        obedience.hear(Found::Withdrawn, later);
        assert_eq!(obedience.retreat(later, NOTICE), Retreat::Staying);
        assert_eq!(obedience.obeyed(Retreat::Away), None);
    }

    #[test]
    fn a_uid_names_one_key() {
        assert!(is_uid("0b1c5c1e-7d1f-4d57-8f0a-1d2f3a4b5c6d"));
        for text in ["", "*", "a.b", ">", "a b", "ä"] {
            assert!(!is_uid(text), "{text}");
        }
        assert!(!is_uid(&"x".repeat(81)));
    }
}
