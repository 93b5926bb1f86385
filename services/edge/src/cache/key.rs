//! What an object is called, and how long it stays fresh.
use crate::path::Asset;
use std::sync::Arc;
use std::time::Duration;

/// Failures and refusals are remembered this long: a herd asks the origin four times a second.
pub const NEGATIVE_TTL: Duration = Duration::from_millis(250);
/// Marks the gzipped variant in a key; `#` cannot occur in a resource.
const GZIP_MARK: &str = "#gzip";

/// What is asked of the origin: a canonical resource and an encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub(super) text: Arc<str>,
    /// The kind of object; decides how long it stays fresh.
    pub asset: Asset,
}

impl Key {
    /// A key of a canonical resource; `gzip` asks for the compressed variant (playlists only).
    pub fn new(mut resource: String, asset: Asset, gzip: bool) -> Self {
        if gzip && asset.is_playlist() {
            resource.push_str(GZIP_MARK);
        }
        Key {
            text: resource.into(),
            asset,
        }
    }

    /// Path and query to ask the origin for.
    pub fn resource(&self) -> &str {
        self.text.strip_suffix(GZIP_MARK).unwrap_or(&self.text)
    }

    /// Whether the compressed variant is asked for.
    pub fn wants_gzip(&self) -> bool {
        self.text.ends_with(GZIP_MARK)
    }

    /// `/<tenant>/<event>`.
    pub fn scope(&self) -> &str {
        let end = self
            .text
            .match_indices('/')
            .nth(2)
            .map_or(self.text.len(), |(at, _)| at);
        &self.text[..end]
    }

    /// How long a good answer is fresh, and how long after that it may stand in for a failing origin.
    pub(super) fn lifetimes(&self) -> (Duration, Duration) {
        let ms = Duration::from_millis;
        match self.asset {
            // A blocking answer never changes in a way its key does not name; 1 s bounds memory.
            Asset::Playlist if self.text.contains("_HLS_msn=") => (ms(1000), ms(10_000)),
            // Coalescing needs a time to live above zero: 0.15 s is half a part.
            Asset::Playlist => (ms(150), ms(5000)),
            Asset::Multivariant => (ms(1000), ms(60_000)),
            _ => (ms(60_000), ms(60_000)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_share_the_resource_but_not_the_key() {
        let plain = Key::new("/a/e/main.m3u8".into(), Asset::Multivariant, false);
        let gzip = Key::new("/a/e/main.m3u8".into(), Asset::Multivariant, true);
        assert_ne!(plain, gzip);
        assert_eq!(plain.resource(), gzip.resource());
        assert!(gzip.wants_gzip() && !plain.wants_gzip());
        assert_eq!(gzip.scope(), "/a/e");
        assert!(!Key::new("/a/e/v/s1.m4s".into(), Asset::Segment, true).wants_gzip());
    }
}
