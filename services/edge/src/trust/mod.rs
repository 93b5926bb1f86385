//! Where keys and revocations come from, and whether each source is there.
//!
//! Keys: auth's stream and a file, united. Revocations: auth's stream and NATS; either suffices.
//! Losing a source changes nothing but its gauge: what is known stays known.
mod auth;
mod bus;

use crate::drain::Drain;
use crate::limits::lock;
use crate::log;
use crate::pool;
use crate::report::Loads;
use crate::session::{Revocation, Sessions};
use crate::settings::{Settings, TrustSettings};
use crate::token::KeySet;
use serde_json::json;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// What the sources feed.
pub struct Trust {
    sessions: Arc<Sessions>,
    keys: Mutex<Sources>,
    /// Whether auth's stream stands.
    pub auth_up: AtomicBool,
    /// Whether NATS is connected.
    pub nats_up: AtomicBool,
    /// Revocations learnt.
    pub revocations: AtomicU64,
}

#[derive(Default)]
struct Sources {
    file: KeySet,
    served: KeySet,
    served_text: String,
}

impl Trust {
    /// Feeds `sessions`.
    pub fn new(sessions: Arc<Sessions>) -> Arc<Self> {
        let (auth_up, nats_up) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Trust {
            sessions,
            keys: Mutex::default(),
            auth_up,
            nats_up,
            revocations: AtomicU64::new(0),
        })
    }

    /// Reads a JWKS file. An unreadable or empty one changes nothing.
    pub fn read_file(&self, path: &Path) -> Result<(), String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let keys = KeySet::from_jwks(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        if keys.is_empty() {
            return Err(format!("{}: no ES256 key", path.display()));
        }
        let mut sources = lock(&self.keys);
        sources.file = keys;
        self.apply(&sources);
        Ok(())
    }

    /// Takes the key set that auth serves. A broken or empty one changes nothing.
    pub fn set_served(&self, jwks: &str) {
        let mut sources = lock(&self.keys);
        if sources.served_text == jwks {
            return;
        }
        match KeySet::from_jwks(jwks) {
            Ok(keys) if !keys.is_empty() => {
                (sources.served, sources.served_text) = (keys, jwks.to_owned());
                self.apply(&sources);
            }
            Ok(_) => log::warn("trust.keys_empty", json!({})),
            Err(error) => log::warn("trust.keys_broken", json!({"error": error})),
        }
    }

    fn apply(&self, sources: &Sources) {
        let keys = sources.file.union(&sources.served);
        log::info("trust.keys", json!({"count": keys.len()}));
        self.sessions.set_keys(keys);
    }

    /// Revokes sessions.
    pub fn revoke(&self, batch: impl IntoIterator<Item = Revocation>) {
        let fresh = self.sessions.revoke(batch, log::unix_now());
        if fresh > 0 {
            self.revocations.fetch_add(fresh as u64, Relaxed);
            log::info("trust.revoked", json!({"count": fresh}));
        }
    }
}

/// Starts every task that the settings name: auth's stream, NATS, the load report, the pool.
pub fn start(trust: &Arc<Trust>, loads: &Arc<Loads>, settings: &Settings, drain: &Arc<Drain>) {
    let TrustSettings {
        auth, secret, nats, ..
    } = settings.trust.clone();
    if let Some(address) = auth {
        tokio::spawn(auth::follow(trust.clone(), address, secret));
    }
    let (trust, loads, every) = (trust.clone(), loads.clone(), settings.report_every);
    let (drain, pool, notice) = (drain.clone(), settings.pool.clone(), settings.drain_notice);
    let name = format!("edge/{}", settings.id);
    tokio::spawn(async move {
        let client = match nats {
            Some(url) => Some(bus::connect(trust.clone(), &url, &name).await),
            None => None,
        };
        if let Some(client) = client.clone() {
            tokio::spawn(bus::follow(trust, client.clone()));
            if let Some(member) = pool {
                let store = pool::Store::new(client, member.uid.clone());
                let agent = pool::Agent::new(member, loads.clone(), drain.clone(), notice);
                tokio::spawn(agent.run(store, every));
            }
        }
        bus::report(loads, client, every, drain.watch()).await;
    });
}
