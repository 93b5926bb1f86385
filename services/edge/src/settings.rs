//! Settings: environment variables, each declared once with its default and its meaning.
use crate::origin::OriginLimits;
use crate::path::is_id;
use crate::pool::{Member, is_uid};
use crate::upstream::parse_address;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// One environment variable.
pub struct Knob {
    /// Its name.
    pub name: &'static str,
    /// The deployment's variable that stands in when this one is not set; empty is none.
    pub shared: &'static str,
    /// Its value when it is not set; empty is none.
    pub default: &'static str,
    /// What it means, in which unit, and why this default.
    pub help: &'static str,
}

macro_rules! knobs {
    ($($name:literal $(or $shared:literal)? = $default:literal $help:literal)*) => {
        /// Every setting, in the order of `--help`.
        pub const KNOBS: &[Knob] = &[
            $(Knob { name: $name, shared: concat!($($shared)?), default: $default, help: $help }),*
        ];
    };
}

knobs! {
    "ODEON_EDGE_LISTEN" = "127.0.0.1:8480" "Public addresses, comma separated; [::]:443 serves IPv4 too; port 0 picks one."
    "ODEON_EDGE_ADMIN_LISTEN" = "127.0.0.1:8481" "Private address: health, metrics, stats, revoke, purge, drain."
    "ODEON_EDGE_ADMIN_TOKEN" = "" "Bearer token that the private POSTs need; none if empty."
    "ODEON_EDGE_ID" = "" "Name in reports, [a-z0-9-]; else made of HOSTNAME and a random tail."
    "ODEON_EDGE_PUBLIC_URL" = "" "Base URL by which viewers reach this edge; else the first address listened on."
    "ODEON_EDGE_HOSTS" = "" "Hosts served, comma separated, *.example.org allowed; any if empty. Others get 421."
    "ODEON_EDGE_TLS_CERT" = "" "PEM file of the certificate chain; TLS with h2 if set, plain HTTP/1.1 if not."
    "ODEON_EDGE_TLS_KEY" = "" "PEM file of its key; may be the same file. Both are read again when they change."
    "ODEON_EDGE_ORIGIN" or "ODEON_RECORDER_HTTP" = "http://127.0.0.1:8470" "Recorder addresses, http://host:port, comma separated."
    "ODEON_EDGE_ORIGIN_TIMEOUT_S" = "10" "Seconds until an answer's head; blocking reloads take 6."
    "ODEON_EDGE_ORIGIN_RETRY_S" = "3" "Seconds of asking again after a lost connection; a recorder restarts in less."
    "ODEON_EDGE_ORIGIN_SLOTS" = "2000" "Origin requests under way at most."
    "ODEON_EDGE_EVENT_FLIGHTS" = "256" "Origin requests of one event under way at most; a ladder needs about 40."
    "ODEON_EDGE_MAX_BODY_MB" = "32" "Largest object taken from the origin."
    "ODEON_EDGE_CACHE_MB" = "512" "Memory for objects; a 5 Mb/s event needs about 40 a minute."
    "ODEON_EDGE_GATEWAY" = "" "Gateway address for steering.json; without it that path answers 503."
    "ODEON_EDGE_UPSTREAM_CA" = "" "PEM file of the authorities trusted for https origins and gateways; else the system's."
    "ODEON_EDGE_AUTH" or "ODEON_AUTH_ADDRESS" = "" "Address of auth's gRPC, http://host:port: keys and revocations."
    "ODEON_SERVICE_SECRET" = "" "The deployment's service secret, traded at auth for a service token."
    "ODEON_EDGE_NATS" or "ODEON_NATS_URL" = "" "NATS URL: revocations in, load reports out."
    "ODEON_EDGE_JWKS" = "" "JWKS file with further keys (air-gapped edges, tests); read again when it changes."
    "ODEON_EDGE_VIEWER_RATE" = "60" "Requests per second of one session; a player makes 12. 0 is no limit."
    "ODEON_EDGE_VIEWER_CONCURRENCY" = "12" "Requests at once of one session, unread answers included. 0 is no limit."
    "ODEON_EDGE_SOURCE_RATE" = "10000" "Requests per second of one address; offices share one. 0 is no limit."
    "ODEON_EDGE_SOURCE_CONNECTIONS" = "4000" "Connections of one address. 0 is no limit."
    "ODEON_EDGE_MAX_CONNECTIONS" = "10000" "Connections at all; an idle one takes up to 35 KB."
    "ODEON_EDGE_HEAD_TIMEOUT_S" = "10" "Seconds for a request's head once its first byte came, and for the first head."
    "ODEON_EDGE_IDLE_TIMEOUT_S" = "30" "Seconds a connection may idle between requests; twice that over h2."
    "ODEON_EDGE_WRITE_TIMEOUT_S" = "30" "Seconds a write may make no progress (slow readers)."
    "ODEON_EDGE_VIEWER_WINDOW_S" = "10" "A session counts as a viewer this long after its last request."
    "ODEON_EDGE_REPORT_MS" = "1000" "Milliseconds between load reports."
    "ODEON_EDGE_DRAIN_NOTICE_S" = "15" "Seconds of serving on, not ready, before connections are closed; three steering TTLs. SIGINT waives it."
    "ODEON_EDGE_DRAIN_LIMIT_S" = "10" "Seconds after that until the process ends whatever happens."
    "ODEON_EDGE_ACCESS_LOG" = "0" "Fraction of requests logged, 0 to 1; never their tokens."
    "ODEON_EDGE_THREADS" = "0" "Worker threads; 0 is one per core."
    "ODEON_POOL" = "" "Pool whose operator may drain this pod; none if empty."
    "ODEON_POD_NAME" = "" "This pod, by the downward API; needed in a pool."
    "ODEON_POD_UID" = "" "UID of its Kubernetes object; needed in a pool."
}

/// Files of a certificate and its key.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// PEM certificate chain.
    pub cert: PathBuf,
    /// PEM private key.
    pub key: PathBuf,
}

/// Where keys and revocations come from; each may be absent.
#[derive(Debug, Clone, Default)]
pub struct TrustSettings {
    /// auth's gRPC address.
    pub auth: Option<String>,
    /// The deployment's service secret.
    pub secret: String,
    /// NATS URL.
    pub nats: Option<String>,
    /// JWKS file.
    pub jwks: Option<PathBuf>,
}

/// Limits per viewer, per source address and of the process; 0 is none where it says so.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests per second of one session; 0 is none.
    pub viewer_rate: u32,
    /// Requests at once of one session; 0 is none.
    pub viewer_concurrency: u32,
    /// Requests per second of one address; 0 is none.
    pub source_rate: u32,
    /// Connections of one address; 0 is none.
    pub source_connections: u32,
    /// Connections of the process.
    pub max_connections: usize,
}

/// How long a connection may take for what.
#[derive(Debug, Clone)]
pub struct Patience {
    /// A request's head.
    pub head: Duration,
    /// Between requests.
    pub idle: Duration,
    /// A write without progress.
    pub write: Duration,
}

/// Everything the edge can be told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Public addresses.
    pub listen: Vec<SocketAddr>,
    /// Private address.
    pub admin_listen: SocketAddr,
    /// Bearer token of the private POSTs.
    pub admin_token: Option<String>,
    /// Name in reports.
    pub id: String,
    /// Base URL by which viewers reach this edge.
    pub public_url: Option<String>,
    /// Hosts served; empty is any.
    pub hosts: Vec<String>,
    /// Certificate, if TLS is spoken.
    pub tls: Option<TlsFiles>,
    /// Recorder addresses.
    pub origins: Vec<String>,
    /// How they are asked.
    pub origin_limits: OriginLimits,
    /// Fetches of one event at a time.
    pub event_flights: usize,
    /// Memory for objects, bytes.
    pub cache_bytes: u64,
    /// Gateway address.
    pub gateway: Option<String>,
    /// Authorities trusted for https origins and gateways.
    pub upstream_ca: Option<PathBuf>,
    /// Where keys and revocations come from.
    pub trust: TrustSettings,
    /// Limits.
    pub limits: Limits,
    /// Connection timeouts.
    pub patience: Patience,
    /// How long a session counts as a viewer.
    pub viewer_window: Duration,
    /// Between load reports.
    pub report_every: Duration,
    /// Serving on while not ready.
    pub drain_notice: Duration,
    /// Hard deadline of a drain.
    pub drain_limit: Duration,
    /// Fraction of requests logged.
    pub access_log: f64,
    /// Worker threads; 0 is one per core.
    pub threads: usize,
    /// Which pod of which pool this is, if of any.
    pub pool: Option<Member>,
}

/// Reads knobs from an environment.
struct Reader<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
}

impl Reader<'_> {
    fn text(&self, name: &'static str) -> String {
        let knob = KNOBS.iter().find(|knob| knob.name == name);
        let (shared, default) = knob.map_or(("", ""), |knob| (knob.shared, knob.default));
        let set = |name: &str| (self.get)(name).filter(|value| !value.trim().is_empty());
        set(name)
            .or_else(|| set(shared))
            .map_or_else(|| default.to_owned(), |value| value.trim().to_owned())
    }

    fn option(&self, name: &'static str) -> Option<String> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    fn parse<T: std::str::FromStr>(&self, name: &'static str) -> Result<T, String> {
        let text = self.text(name);
        text.parse()
            .map_err(|_| format!("{name}: {text:?} is not valid"))
    }

    fn list<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let text = self.text(name);
        let items = text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        items
            .map(|item| parse(item).map_err(|e| format!("{name}: {e}")))
            .collect()
    }

    fn seconds(&self, name: &'static str) -> Result<Duration, String> {
        let seconds = self.parse::<f64>(name)?;
        Duration::try_from_secs_f64(seconds).map_err(|e| format!("{name}: {e}"))
    }

    fn address(&self, name: &'static str) -> Result<Option<String>, String> {
        self.option(name)
            .map(|text| parse_address(&text).map_err(|e| format!("{name}: {e}")))
            .transpose()
    }
}

impl Settings {
    /// Reads the process's environment. The error names the variable.
    pub fn from_env() -> Result<Self, String> {
        Self::read(&|name| std::env::var(name).ok())
    }

    /// Reads any environment.
    pub fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let env = Reader { get };
        let socket = |text: &str| {
            text.parse::<SocketAddr>()
                .map_err(|e| format!("{text:?}: {e}"))
        };
        let listen = env.list("ODEON_EDGE_LISTEN", socket)?;
        let origins = env.list("ODEON_EDGE_ORIGIN", parse_address)?;
        let report_every =
            Duration::from_millis(env.parse::<u64>("ODEON_EDGE_REPORT_MS")?.clamp(100, 60_000));
        let settings = Settings {
            listen,
            admin_listen: env.parse("ODEON_EDGE_ADMIN_LISTEN")?,
            admin_token: env.option("ODEON_EDGE_ADMIN_TOKEN"),
            id: edge_id(&env, get)?,
            public_url: env
                .option("ODEON_EDGE_PUBLIC_URL")
                .map(|url| url.trim_end_matches('/').to_owned()),
            hosts: env.list("ODEON_EDGE_HOSTS", |host| Ok(host.to_ascii_lowercase()))?,
            tls: tls_files(&env)?,
            origins,
            origin_limits: origin_limits(&env)?,
            event_flights: env.parse("ODEON_EDGE_EVENT_FLIGHTS")?,
            cache_bytes: env.parse::<u64>("ODEON_EDGE_CACHE_MB")? << 20,
            gateway: env.address("ODEON_EDGE_GATEWAY")?,
            upstream_ca: env.option("ODEON_EDGE_UPSTREAM_CA").map(PathBuf::from),
            trust: trust(&env)?,
            limits: limits(&env)?,
            patience: Patience {
                head: env.seconds("ODEON_EDGE_HEAD_TIMEOUT_S")?,
                idle: env.seconds("ODEON_EDGE_IDLE_TIMEOUT_S")?,
                write: env.seconds("ODEON_EDGE_WRITE_TIMEOUT_S")?,
            },
            viewer_window: env.seconds("ODEON_EDGE_VIEWER_WINDOW_S")?,
            report_every,
            drain_notice: env.seconds("ODEON_EDGE_DRAIN_NOTICE_S")?,
            drain_limit: env.seconds("ODEON_EDGE_DRAIN_LIMIT_S")?,
            access_log: env.parse::<f64>("ODEON_EDGE_ACCESS_LOG")?,
            threads: env.parse("ODEON_EDGE_THREADS")?,
            pool: pool(&env)?,
        };
        settings.checked()
    }

    fn checked(self) -> Result<Self, String> {
        if self.listen.is_empty() {
            return Err("ODEON_EDGE_LISTEN: no address".into());
        }
        if self.origins.is_empty() {
            return Err("ODEON_EDGE_ORIGIN: no address".into());
        }
        if self.origin_limits.slots == 0
            || self.event_flights == 0
            || self.limits.max_connections == 0
        {
            return Err("ORIGIN_SLOTS, EVENT_FLIGHTS and MAX_CONNECTIONS are at least 1".into());
        }
        if self.pool.is_some() && self.trust.nats.is_none() {
            return Err(
                "ODEON_POOL: needs ODEON_EDGE_NATS, or it would never hear of a drain".into(),
            );
        }
        if !(0.0..=1.0).contains(&self.access_log) {
            return Err("ODEON_EDGE_ACCESS_LOG: not between 0 and 1".into());
        }
        Ok(self)
    }
}

fn edge_id(env: &Reader<'_>, get: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    if let Some(id) = env.option("ODEON_EDGE_ID") {
        return if is_id(&id) {
            Ok(id)
        } else {
            Err(format!("ODEON_EDGE_ID: {id:?} is not [a-z0-9-]"))
        };
    }
    let host = get("HOSTNAME").unwrap_or_default().to_ascii_lowercase();
    let host: String = host
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(40)
        .collect();
    let host = host.trim_matches('-');
    let mut tail = [0u8; 3];
    aws_lc_rs::rand::fill(&mut tail).map_err(|_| "no randomness".to_owned())?;
    let tail = tail.map(|byte| format!("{byte:02x}")).concat();
    Ok(if host.is_empty() {
        format!("edge-{tail}")
    } else {
        format!("{host}-{tail}")
    })
}

fn pool(env: &Reader<'_>) -> Result<Option<Member>, String> {
    let Some(pool) = env.option("ODEON_POOL") else {
        return Ok(None);
    };
    let (Some(pod), Some(uid)) = (env.option("ODEON_POD_NAME"), env.option("ODEON_POD_UID")) else {
        return Err("ODEON_POOL: needs ODEON_POD_NAME and ODEON_POD_UID".into());
    };
    if !is_uid(&uid) {
        return Err(format!("ODEON_POD_UID: {uid:?} is not a UID"));
    }
    Ok(Some(Member { pool, pod, uid }))
}

fn tls_files(env: &Reader<'_>) -> Result<Option<TlsFiles>, String> {
    match (
        env.option("ODEON_EDGE_TLS_CERT"),
        env.option("ODEON_EDGE_TLS_KEY"),
    ) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some(TlsFiles {
            cert: cert.into(),
            key: key.into(),
        })),
        _ => Err("ODEON_EDGE_TLS_CERT and ODEON_EDGE_TLS_KEY come together".into()),
    }
}

fn origin_limits(env: &Reader<'_>) -> Result<OriginLimits, String> {
    Ok(OriginLimits {
        head_timeout: env.seconds("ODEON_EDGE_ORIGIN_TIMEOUT_S")?,
        retry_for: env.seconds("ODEON_EDGE_ORIGIN_RETRY_S")?,
        slots: env.parse("ODEON_EDGE_ORIGIN_SLOTS")?,
        max_body: env.parse::<usize>("ODEON_EDGE_MAX_BODY_MB")? << 20,
    })
}

fn trust(env: &Reader<'_>) -> Result<TrustSettings, String> {
    let trust = TrustSettings {
        auth: env
            .option("ODEON_EDGE_AUTH")
            .map(grpc_address)
            .transpose()?,
        secret: env.text("ODEON_SERVICE_SECRET"),
        nats: env.option("ODEON_EDGE_NATS").map(nats_url).transpose()?,
        jwks: env.option("ODEON_EDGE_JWKS").map(PathBuf::from),
    };
    if trust.auth.is_none() && trust.jwks.is_none() {
        return Err(
            "ODEON_EDGE_AUTH or ODEON_EDGE_JWKS is needed: tokens cannot be verified without keys"
                .into(),
        );
    }
    Ok(trust)
}

/// Every server of a comma separated list, checked now so that connecting later can only wait.
fn nats_url(text: String) -> Result<String, String> {
    for server in text.split(',') {
        server
            .parse::<async_nats::ServerAddr>()
            .map_err(|e| format!("ODEON_EDGE_NATS: {server:?}: {e}"))?;
    }
    Ok(text)
}

/// gRPC addresses are written `host:port` elsewhere in a deployment; both forms are taken.
fn grpc_address(text: String) -> Result<String, String> {
    let url = if text.contains("://") {
        text
    } else {
        format!("http://{text}")
    };
    parse_address(&url).map_err(|e| format!("ODEON_EDGE_AUTH: {e}"))
}

fn limits(env: &Reader<'_>) -> Result<Limits, String> {
    Ok(Limits {
        viewer_rate: env.parse("ODEON_EDGE_VIEWER_RATE")?,
        viewer_concurrency: env.parse("ODEON_EDGE_VIEWER_CONCURRENCY")?,
        source_rate: env.parse("ODEON_EDGE_SOURCE_RATE")?,
        source_connections: env.parse("ODEON_EDGE_SOURCE_CONNECTIONS")?,
        max_connections: env.parse("ODEON_EDGE_MAX_CONNECTIONS")?,
    })
}

/// The table that `--help` prints.
pub fn help() -> String {
    let mut out =
        String::from("odeon-edge: HTTP edge of Odeon. Settings are environment variables:\n\n");
    for Knob {
        name,
        shared,
        default,
        help,
    } in KNOBS
    {
        let default = if default.is_empty() { "-" } else { default };
        let or = if shared.is_empty() {
            String::new()
        } else {
            format!(" Else {shared}.")
        };
        let _ = writeln!(out, "  {name:32} {default:22} {help}{or}");
    }
    out.push_str("\nSIGTERM and SIGINT drain, a second one ends at once; SIGHUP reads certificates and keys again.\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, String> {
        let given = |name: &str| {
            pairs
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| (*v).to_owned())
        };
        Settings::read(&|name| {
            given(name).or_else(|| (name == "ODEON_EDGE_JWKS").then(|| "keys.json".into()))
        })
    }

    #[test]
    fn defaults_stand_where_nothing_is_set() {
        let settings = read(&[("HOSTNAME", "Edge.Pod_1")]).unwrap();
        assert_eq!(settings.listen, ["127.0.0.1:8480".parse().unwrap()]);
        assert!(settings.tls.is_none() && settings.hosts.is_empty());
        assert!(settings.id.starts_with("edge-pod-1-"), "{}", settings.id);
        assert!(is_id(&settings.id));
        assert!(
            settings.origin_limits.head_timeout > Duration::from_secs(6),
            "blocking reloads take six"
        );
    }

    #[test]
    fn players_hear_of_a_drain_before_it_closes_anything() {
        // The gateway's steering manifests are kept for five seconds (its domain/steering.py).
        let steering_ttl = Duration::from_secs(5);
        assert!(read(&[]).unwrap().drain_notice >= 3 * steering_ttl);
    }

    #[test]
    fn lists_and_addresses_are_parsed() {
        let settings = read(&[
            ("ODEON_EDGE_LISTEN", "127.0.0.1:0, [::1]:0"),
            ("ODEON_EDGE_ORIGIN", "http://a:1/,http://b:2"),
            ("ODEON_EDGE_HOSTS", "Live.example.org,*.cdn.example.org"),
        ])
        .unwrap();
        assert_eq!(settings.listen.len(), 2);
        assert_eq!(settings.origins, ["http://a:1", "http://b:2"]);
        assert_eq!(settings.hosts, ["live.example.org", "*.cdn.example.org"]);
    }

    #[test]
    fn what_the_deployment_shares_stands_in() {
        let shared = [
            ("ODEON_AUTH_ADDRESS", "127.0.0.1:7001"),
            ("ODEON_NATS_URL", "nats://n:4222"),
        ];
        let settings = read(&shared).unwrap();
        assert_eq!(
            settings.trust.auth.as_deref(),
            Some("http://127.0.0.1:7001")
        );
        assert_eq!(settings.trust.nats.as_deref(), Some("nats://n:4222"));
        let own = read(&[shared[0], ("ODEON_EDGE_AUTH", "http://auth:1")]).unwrap();
        assert_eq!(own.trust.auth.as_deref(), Some("http://auth:1"));
    }

    #[test]
    fn a_pools_pod_knows_who_it_is_and_hears_nats() {
        let whole = [
            ("ODEON_POOL", "edges"),
            ("ODEON_POD_NAME", "edges-0"),
            ("ODEON_POD_UID", "0b1c-2"),
            ("ODEON_NATS_URL", "nats://n:4222"),
        ];
        let member = read(&whole).unwrap().pool.unwrap();
        assert_eq!(
            (&*member.pool, &*member.pod, &*member.uid),
            ("edges", "edges-0", "0b1c-2")
        );
        assert!(read(&whole[1..]).unwrap().pool.is_none());
        for missing in 1..whole.len() {
            let mut some = whole.to_vec();
            some.remove(missing);
            assert!(read(&some).unwrap_err().starts_with("ODEON_POOL: needs"));
        }
        let mut wild = whole;
        wild[2].1 = "a.>";
        assert!(read(&wild).unwrap_err().starts_with("ODEON_POD_UID"));
    }

    #[test]
    fn a_wrong_value_is_named() {
        for (name, value) in [
            ("ODEON_EDGE_LISTEN", "localhost"),
            ("ODEON_EDGE_ORIGIN", "ftp://a"),
            ("ODEON_EDGE_NATS", "http://[::1"),
            ("ODEON_EDGE_ID", "Edge"),
            ("ODEON_EDGE_TLS_CERT", "x.pem"),
            ("ODEON_EDGE_VIEWER_RATE", "many"),
            ("ODEON_EDGE_HEAD_TIMEOUT_S", "-1"),
            ("ODEON_EDGE_ACCESS_LOG", "2"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.contains(name), "{name}: {error}");
        }
    }

    #[test]
    fn an_edge_without_any_source_of_keys_does_not_start() {
        let error = Settings::read(&|_| None).unwrap_err();
        assert!(error.contains("ODEON_EDGE_AUTH"), "{error}");
    }

    #[test]
    fn the_help_lists_every_setting() {
        let help = help();
        assert!(KNOBS.iter().all(|knob| help.contains(knob.name)));
    }
}
