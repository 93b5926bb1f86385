//! From a datagram to its session: by validated address, or by a STUN request's ufrag.

use std::collections::HashMap;
use std::net::SocketAddr;

use str0m::ice::StunMessage;

use crate::track::SessionKey;

/// Finds sessions by address and by local ufrag.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    by_address: HashMap<SocketAddr, SessionKey>,
    by_ufrag: HashMap<String, SessionKey>,
}

impl Routes {
    pub(crate) fn by_address(&self, address: SocketAddr) -> Option<SessionKey> {
        self.by_address.get(&address).copied()
    }

    pub(crate) fn by_ufrag(&self, ufrag: &str) -> Option<SessionKey> {
        self.by_ufrag.get(ufrag).copied()
    }

    pub(crate) fn add_ufrag(&mut self, ufrag: &str, session: SessionKey) {
        self.by_ufrag.insert(ufrag.to_owned(), session);
    }

    pub(crate) fn remove_ufrag(&mut self, ufrag: &str) {
        self.by_ufrag.remove(ufrag);
    }

    /// Gives an address to a session; returns the session that had it before.
    pub(crate) fn claim(&mut self, address: SocketAddr, session: SessionKey) -> Option<SessionKey> {
        self.by_address.insert(address, session).filter(|former| *former != session)
    }

    /// Frees an address if it still belongs to the session.
    pub(crate) fn release(&mut self, address: SocketAddr, session: SessionKey) {
        if self.by_address(address) == Some(session) {
            self.by_address.remove(&address);
        }
    }
}

/// True for what may be STUN (RFC 7983): only STUN may come from an address not yet validated.
pub(crate) fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= 20 && datagram[0] < 2
}

/// The local ufrag that a STUN binding request names.
pub fn request_ufrag(datagram: &[u8]) -> Option<String> {
    let message = StunMessage::parse(datagram).ok()?;
    if !message.is_binding_request() {
        return None;
    }
    message.split_username().map(|(local, _)| local.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_names_no_ufrag() {
        for datagram in [&[][..], &[0; 3], &[0; 20], &[1; 200], &[0xff; 64]] {
            assert_eq!(request_ufrag(datagram), None);
        }
    }

    #[test]
    fn an_address_goes_to_whoever_validated_it_last_and_is_freed_only_by_its_owner() {
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        let mut routes = Routes::default();
        assert_eq!(routes.claim(address, 1), None);
        assert_eq!(routes.claim(address, 2), Some(1));
        routes.release(address, 1);
        assert_eq!(routes.by_address(address), Some(2));
        routes.release(address, 2);
        assert_eq!(routes.by_address(address), None);
    }
}
