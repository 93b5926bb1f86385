//! JSON lines on stderr, written by a thread of their own so that no request ever waits for a disk.
use serde_json::{Map, Value, json};
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{SystemTime, UNIX_EPOCH};

/// Lines that may wait; beyond it they are dropped and counted.
const WAITING: usize = 4096;

static LINES: OnceLock<SyncSender<String>> = OnceLock::new();
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Seconds since 1970, by the wall clock.
pub fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs())
}

/// Lines dropped because the log could not keep up.
pub fn dropped() -> u64 {
    DROPPED.load(Relaxed)
}

/// Writes one event: a constant name and its fields (an object). Never pass a URL: it holds a token.
pub fn event(level: &str, name: &'static str, fields: Value) {
    let millis = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as u64);
    let mut line = Map::new();
    line.insert("time_ms".into(), json!(millis));
    line.insert("level".into(), json!(level));
    line.insert("service".into(), json!("edge"));
    line.insert("event".into(), json!(name));
    if let Value::Object(fields) = fields {
        line.extend(fields);
    }
    let lines = LINES.get_or_init(start);
    if lines.try_send(Value::Object(line).to_string()).is_err() {
        DROPPED.fetch_add(1, Relaxed);
    }
}

/// Something an operator may want to know.
pub fn info(name: &'static str, fields: Value) {
    event("info", name, fields);
}

/// Something an operator should look at.
pub fn warn(name: &'static str, fields: Value) {
    event("warning", name, fields);
}

fn start() -> SyncSender<String> {
    let (sender, lines) = sync_channel::<String>(WAITING);
    let write = move || {
        for line in lines {
            // stderr gone: nothing left to tell it to.
            let _ = writeln!(std::io::stderr().lock(), "{line}");
        }
    };
    let thread = std::thread::Builder::new().name("log".into()).spawn(write);
    if thread.is_err() {
        eprintln!("{{\"level\":\"error\",\"event\":\"log.no_thread\"}}");
    }
    sender
}
