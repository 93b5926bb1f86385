//! Who may watch: remembered tokens, viewers, revocations; one answer per request.
use crate::limits::{Meter, Table, lock};
use crate::refusal::{NO_KEYS, Refusal, SESSION_REVOKED};
use crate::revocations::Revocations;
use crate::token::{Claims, KeySet};
use ahash::RandomState;
use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// Verified tokens remembered; an ES256 check costs 55 µs, a look-up 2.
const REMEMBERED: u64 = 200_000;
const REMEMBERED_FOR: Duration = Duration::from_secs(60);
/// Revocations kept; at 150 bytes each this bounds them to 30 MB.
const MAX_REVOKED: usize = 200_000;
/// How long a revocation without an expiry is kept: longer than any playback token lives.
pub const REVOKED_FOR_S: u64 = 26 * 3600;

/// What one event's viewers cause, counted since the edge first saw the event.
#[derive(Debug)]
pub struct EventFigures {
    /// Tenant id.
    pub tenant: String,
    /// Event id.
    pub event: String,
    /// Body bytes handed to connections.
    pub egress: AtomicU64,
    /// Requests let in.
    pub requests: AtomicU64,
}

/// One session of one event.
#[derive(Debug)]
pub struct Viewer {
    meter: Meter,
    /// The event's shared counters.
    pub event: Arc<EventFigures>,
    session: Box<str>,
    revoked: AtomicBool,
    woken: Notify,
}

impl AsRef<Meter> for Viewer {
    fn as_ref(&self) -> &Meter {
        &self.meter
    }
}

impl Viewer {
    /// Whether the session was revoked.
    pub fn is_revoked(&self) -> bool {
        self.revoked.load(Relaxed)
    }

    /// Returns once the session is revoked; for requests that wait.
    pub async fn until_revoked(&self) {
        loop {
            let mut woken = pin!(self.woken.notified());
            woken.as_mut().enable();
            if self.is_revoked() {
                return;
            }
            woken.await;
        }
    }

    fn revoke(&self) {
        self.revoked.store(true, Relaxed);
        self.woken.notify_waiters();
    }
}

/// A verified token and whom it stands for.
#[derive(Debug)]
pub struct Grant {
    claims: Claims,
    /// The session's viewer.
    pub viewer: Arc<Viewer>,
}

/// A session to revoke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Tenant id; a session of another tenant is not touched.
    pub tenant: String,
    /// Session id.
    pub session: String,
    /// Unix second after which no token of the session lives.
    pub expires: u64,
}

/// The trust set and everybody who was let in by it.
pub struct Sessions {
    keys: ArcSwap<KeySet>,
    remembered: moka::sync::Cache<[u8; 32], Arc<Grant>, RandomState>,
    viewers: Table<Box<str>, Viewer>,
    events: Mutex<HashMap<Box<str>, Arc<EventFigures>, RandomState>>,
    revoked: Mutex<Revocations>,
}

impl Default for Sessions {
    fn default() -> Self {
        let remembered = moka::sync::Cache::builder()
            .max_capacity(REMEMBERED)
            .eviction_policy(moka::policy::EvictionPolicy::lru())
            .time_to_live(REMEMBERED_FOR)
            .build_with_hasher(RandomState::new());
        Sessions {
            keys: ArcSwap::default(),
            remembered,
            viewers: Table::default(),
            events: Mutex::default(),
            revoked: Mutex::new(Revocations::new(MAX_REVOKED)),
        }
    }
}

impl Sessions {
    /// Lets a token in for a tenant's event, at Unix second `now`.
    ///
    /// Refusals: NO_KEYS, those of [`KeySet::verify`], [`Claims::check_times`] and
    /// [`Claims::check_scope`], SESSION_REVOKED.
    pub fn admit(
        &self,
        token: &str,
        tenant: &str,
        event: &str,
        now: u64,
    ) -> Result<Arc<Grant>, Refusal> {
        let id: [u8; 32] = digest(&SHA256, token.as_bytes())
            .as_ref()
            .try_into()
            .unwrap_or_default();
        let grant = match self.remembered.get(&id) {
            Some(grant) => grant,
            None => self.verify(token, id, now)?,
        };
        grant.claims.check_times(now)?;
        grant.claims.check_scope(tenant, event)?;
        if grant.viewer.is_revoked() {
            Err(SESSION_REVOKED)
        } else {
            Ok(grant)
        }
    }

    fn verify(&self, token: &str, id: [u8; 32], now: u64) -> Result<Arc<Grant>, Refusal> {
        let keys = self.keys.load();
        if keys.is_empty() {
            return Err(NO_KEYS);
        }
        let claims = keys.verify(token)?;
        let live = now < claims.expires;
        let viewer = self.viewer(&claims);
        let grant = Arc::new(Grant { claims, viewer });
        if live {
            self.remembered.insert(id, grant.clone());
            // A key withdrawn while we verified: what was remembered under it must go.
            if !Arc::ptr_eq(&keys, &self.keys.load()) {
                self.remembered.invalidate(&id);
            }
        }
        Ok(grant)
    }

    fn viewer(&self, claims: &Claims) -> Arc<Viewer> {
        let scope = format!("{}/{}", claims.tenant, claims.event);
        let session: Box<str> = format!("{}/{}", claims.tenant, claims.session).into();
        let viewer = self
            .viewers
            .get(format!("{scope}/{}", claims.session).into(), || Viewer {
                meter: Meter::default(),
                event: self.event(&scope, claims),
                session,
                revoked: AtomicBool::new(false),
                woken: Notify::new(),
            });
        // The viewer is in the table before the set is read, and revoke() fills the set before it
        // walks the table: whichever comes first, the other one sees it.
        if lock(&self.revoked).contains(&viewer.session) {
            viewer.revoke();
        }
        viewer
    }

    fn event(&self, scope: &str, claims: &Claims) -> Arc<EventFigures> {
        let make = || {
            let (tenant, event) = (claims.tenant.clone(), claims.event.clone());
            Arc::new(EventFigures {
                tenant,
                event,
                egress: AtomicU64::new(0),
                requests: AtomicU64::new(0),
            })
        };
        lock(&self.events)
            .entry(scope.into())
            .or_insert_with(make)
            .clone()
    }

    /// Replaces the keys; when one was withdrawn, every token is verified anew.
    pub fn set_keys(&self, keys: KeySet) {
        let old = self.keys.load_full();
        let keeps_all = keys.keeps_all_of(&old);
        self.keys.store(Arc::new(keys));
        if !keeps_all {
            self.remembered.invalidate_all();
        }
    }

    /// How many keys are known; readiness waits for the first.
    pub fn key_count(&self) -> usize {
        self.keys.load().len()
    }

    /// Revokes sessions; requests of theirs that wait end at once. Returns how many were new.
    pub fn revoke(&self, batch: impl IntoIterator<Item = Revocation>, now: u64) -> usize {
        let mut fresh = Vec::new();
        let mut set = lock(&self.revoked);
        for revocation in batch {
            let expires = if revocation.expires == 0 {
                now + REVOKED_FOR_S
            } else {
                revocation.expires
            };
            let key: Arc<str> = format!("{}/{}", revocation.tenant, revocation.session).into();
            if expires > now && set.insert(key.clone(), expires) {
                fresh.push(key);
            }
        }
        drop(set);
        if !fresh.is_empty() {
            let fresh: std::collections::HashSet<&str> = fresh.iter().map(|key| &**key).collect();
            self.viewers.each(|viewer| {
                if fresh.contains(&*viewer.session) {
                    viewer.revoke();
                }
            });
        }
        fresh.len()
    }

    /// How many revocations are known, and how many had to go before their time.
    pub fn revoked_count(&self) -> (usize, u64) {
        let set = lock(&self.revoked);
        (set.len(), set.lost)
    }

    /// Forgets what is over and returns the live events with their viewers, most viewers first.
    pub fn sweep(&self, idle: Duration, now: u64) -> Vec<(Arc<EventFigures>, u32)> {
        self.remembered.run_pending_tasks();
        lock(&self.revoked).forget_expired(now);
        let mut counts: HashMap<*const EventFigures, u32, RandomState> = HashMap::default();
        self.viewers.sweep(idle, |viewer| {
            *counts.entry(Arc::as_ptr(&viewer.event)).or_insert(0) += 1
        });
        let mut events = lock(&self.events);
        events.retain(|_, event| Arc::strong_count(event) > 1);
        let count = |e: &Arc<EventFigures>| counts.get(&Arc::as_ptr(e)).copied().unwrap_or(0);
        let mut live: Vec<_> = events
            .values()
            .map(|event| (event.clone(), count(event)))
            .collect();
        drop(events);
        live.sort_by_key(|(event, viewers)| (std::cmp::Reverse(*viewers), event.event.clone()));
        live
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::{TOKEN_EXPIRED, TOKEN_INVALID, TOKEN_SCOPE};
    use crate::token::tests::Signer;
    use serde_json::json;

    const NOW: u64 = 1_600_000_000;

    fn trusting(signer: &Signer) -> Sessions {
        let sessions = Sessions::default();
        sessions.set_keys(KeySet::from_jwks(&signer.jwks()).unwrap());
        sessions
    }

    fn revocation(tenant: &str, session: &str) -> Revocation {
        Revocation {
            tenant: tenant.into(),
            session: session.into(),
            expires: 0,
        }
    }

    #[test]
    fn without_keys_nobody_is_judged() {
        let refusal = Sessions::default()
            .admit("a.b.c", "acme", "ev1", NOW)
            .unwrap_err();
        assert_eq!(refusal, NO_KEYS);
    }

    #[test]
    fn expiry_and_scope_hold_for_remembered_tokens_too() {
        let signer = Signer::new("k1");
        let sessions = trusting(&signer);
        let token = signer.token(json!({"exp": NOW + 10}));
        let first = sessions.admit(&token, "acme", "ev1", NOW).unwrap();
        let again = sessions.admit(&token, "acme", "ev1", NOW + 9).unwrap();
        assert!(Arc::ptr_eq(&first, &again), "the second one was remembered");
        assert_eq!(
            sessions.admit(&token, "acme", "ev2", NOW).unwrap_err(),
            TOKEN_SCOPE
        );
        assert_eq!(
            sessions.admit(&token, "acme", "ev1", NOW + 10).unwrap_err(),
            TOKEN_EXPIRED
        );
    }

    #[test]
    fn a_revoked_session_is_refused_whether_it_was_seen_before_or_not() {
        let signer = Signer::new("k1");
        let sessions = trusting(&signer);
        let seen = signer.token(json!({"sid": "seen"}));
        sessions.admit(&seen, "acme", "ev1", NOW).unwrap();
        let batch = ["seen", "unseen", "seen"].map(|sid| revocation("acme", sid));
        assert_eq!(sessions.revoke(batch, NOW), 2);
        assert_eq!(
            sessions.admit(&seen, "acme", "ev1", NOW).unwrap_err(),
            SESSION_REVOKED
        );
        let unseen = signer.token(json!({"sid": "unseen"}));
        assert_eq!(
            sessions.admit(&unseen, "acme", "ev1", NOW).unwrap_err(),
            SESSION_REVOKED
        );
        let second_token = signer.token(json!({"sid": "seen", "name": "again"}));
        assert_eq!(
            sessions
                .admit(&second_token, "acme", "ev1", NOW)
                .unwrap_err(),
            SESSION_REVOKED
        );
    }

    #[test]
    fn a_revocation_stays_within_its_tenant() {
        let signer = Signer::new("k1");
        let sessions = trusting(&signer);
        sessions.revoke([revocation("other", "s1")], NOW);
        assert!(
            sessions
                .admit(&signer.token(json!({})), "acme", "ev1", NOW)
                .is_ok()
        );
    }

    #[tokio::test]
    async fn a_waiting_request_learns_of_its_revocation() {
        let signer = Signer::new("k1");
        let sessions = trusting(&signer);
        let grant = sessions
            .admit(&signer.token(json!({})), "acme", "ev1", NOW)
            .unwrap();
        let waiting = tokio::spawn(async move { grant.viewer.until_revoked().await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        sessions.revoke([revocation("acme", "s1")], NOW);
        waiting.await.unwrap();
    }

    #[test]
    fn a_revocation_is_forgotten_once_no_token_of_the_session_can_live() {
        let signer = Signer::new("k1");
        let sessions = trusting(&signer);
        sessions.revoke(
            [Revocation {
                expires: NOW + 5,
                ..revocation("acme", "s1")
            }],
            NOW,
        );
        sessions.sweep(Duration::ZERO, NOW + 4);
        assert_eq!(sessions.revoked_count().0, 1);
        sessions.sweep(Duration::ZERO, NOW + 5);
        assert_eq!(sessions.revoked_count().0, 0);
    }

    #[test]
    fn withdrawing_a_key_ends_the_tokens_remembered_under_it() {
        let (old, new) = (Signer::new("old"), Signer::new("new"));
        let sessions = trusting(&old);
        let token = old.token(json!({}));
        sessions.admit(&token, "acme", "ev1", NOW).unwrap();
        let (old, new) = (
            KeySet::from_jwks(&old.jwks()).unwrap(),
            KeySet::from_jwks(&new.jwks()).unwrap(),
        );
        sessions.set_keys(old.union(&new));
        assert!(
            sessions.admit(&token, "acme", "ev1", NOW).is_ok(),
            "both keys stand during a rotation"
        );
        sessions.set_keys(new);
        assert_eq!(
            sessions.admit(&token, "acme", "ev1", NOW).unwrap_err(),
            TOKEN_INVALID
        );
    }

    #[test]
    fn viewers_are_counted_once_per_session_and_event() {
        let signer = Signer::new("k1");
        let sessions = trusting(&signer);
        for (event, sid) in [("ev1", "a"), ("ev1", "a"), ("ev1", "b"), ("ev2", "a")] {
            let token = signer.token(json!({"event": event, "sid": sid}));
            let grant = sessions.admit(&token, "acme", event, NOW).unwrap();
            grant.viewer.meter.touch(crate::limits::now_ms());
        }
        let live = sessions.sweep(Duration::from_secs(10), NOW);
        let counts: Vec<_> = live.iter().map(|(event, n)| (&*event.event, *n)).collect();
        assert_eq!(counts, [("ev1", 2), ("ev2", 1)]);
    }
}
