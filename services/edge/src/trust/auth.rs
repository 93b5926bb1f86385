//! auth's `WatchTrust` stream: keys and revocations, first a snapshot, then each change.
use super::Trust;
use crate::log;
use crate::proto::auth::auth_service_client::AuthServiceClient;
use crate::proto::auth::{IssueServiceTokenRequest, RevokedSession, WatchTrustRequest};
use crate::session::Revocation;
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// A quiet stream repeats its snapshot every two seconds; this much silence means that it is broken.
const SILENCE: Duration = Duration::from_secs(5);
const CALL: Duration = Duration::from_secs(3);
const RETRY: Duration = Duration::from_millis(500);
/// A snapshot of 200,000 sessions.
const MAX_MESSAGE: usize = 32 << 20;

/// Follows the stream for ever; a broken or silent one is opened again.
pub async fn follow(trust: Arc<Trust>, address: String, secret: String) {
    let mut told = false;
    loop {
        let Err(error) = watch(&trust, &address, &secret).await;
        let was_up = trust.auth_up.swap(false, Relaxed);
        if was_up || !told {
            log::warn(
                "trust.auth_lost",
                json!({"code": format!("{:?}", error.code()), "error": error.message()}),
            );
            told = true;
        }
        sleep(RETRY).await;
    }
}

async fn watch(trust: &Trust, address: &str, secret: &str) -> Result<Infallible, Status> {
    let mut client = connect(address).await?;
    let issue = IssueServiceTokenRequest {
        service: "edge".into(),
        secret: secret.into(),
    };
    let token = timeout(CALL, client.issue_service_token(issue))
        .await
        .map_err(silent)??
        .into_inner()
        .token;
    let mut request = Request::new(WatchTrustRequest {});
    let bearer = format!("Bearer {token}")
        .parse()
        .map_err(|_| Status::internal("the token is no header value"))?;
    request.metadata_mut().insert("authorization", bearer);
    let mut stream = timeout(CALL, client.watch_trust(request))
        .await
        .map_err(silent)??
        .into_inner();
    loop {
        let message = timeout(SILENCE, stream.message()).await.map_err(silent)??;
        let message = message.ok_or_else(|| Status::unavailable("the stream ended"))?;
        trust.set_served(&message.jwks_json);
        trust.revoke(message.revoked_sessions.into_iter().map(revocation));
        if !trust.auth_up.swap(true, Relaxed) {
            log::info("trust.auth_up", json!({}));
        }
    }
}

async fn connect(address: &str) -> Result<AuthServiceClient<Channel>, Status> {
    let endpoint = Endpoint::from_shared(address.to_owned())
        .map_err(|e| Status::invalid_argument(e.to_string()))?;
    let channel = endpoint
        .connect_timeout(CALL)
        .http2_keep_alive_interval(SILENCE)
        .keep_alive_timeout(CALL)
        .connect()
        .await
        .map_err(|e| Status::unavailable(e.to_string()))?;
    Ok(AuthServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE))
}

fn silent(_: tokio::time::error::Elapsed) -> Status {
    Status::deadline_exceeded("auth fell silent")
}

fn revocation(session: RevokedSession) -> Revocation {
    let expires = session
        .expire_time
        .map_or(0, |at| u64::try_from(at.seconds).unwrap_or(0));
    Revocation {
        tenant: session.tenant_id,
        session: session.session_id,
        expires,
    }
}
