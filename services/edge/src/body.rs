//! Response bodies: shared bytes that keep their viewer counted as busy until they are written.
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Anything that is given back when an answer has been written.
pub trait Hold: Send + Sync + 'static {}
impl<T: Send + Sync + 'static> Hold for T {}

/// A whole body in one frame.
#[derive(Default)]
pub struct Out(Option<Bytes>);

struct Held {
    bytes: Bytes,
    _hold: Box<dyn Hold>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Out {
    /// A body that holds nothing.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Some(bytes.into())
            .filter(|bytes| !bytes.is_empty())
            .map_or_else(Out::default, |bytes| Out(Some(bytes)))
    }

    /// A body whose `hold` is dropped when hyper dropped the bytes: after the last of them went to
    /// the socket, however slowly the client reads, or when the connection ended.
    pub fn holding(bytes: Bytes, hold: impl Hold) -> Self {
        Out::new(Bytes::from_owner(Held {
            bytes,
            _hold: Box::new(hold),
        }))
    }
}

impl Body for Out {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use std::sync::Arc;

    #[tokio::test]
    async fn what_a_body_holds_is_given_back_with_the_last_of_its_bytes() {
        let token = Arc::new(());
        let mut body = Out::holding(Bytes::from_static(b"media"), token.clone());
        let bytes = body.frame().await.unwrap().unwrap().into_data().unwrap();
        drop(body);
        let tail = bytes.slice(4..);
        drop(bytes);
        assert_eq!(Arc::strong_count(&token), 2, "one byte is still unwritten");
        drop(tail);
        assert_eq!(Arc::strong_count(&token), 1);
    }
}
