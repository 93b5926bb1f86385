//! A UDP socket with GSO sends, and a way to wake its thread.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use odeon_media_core::{Egress, ErrorClass, MediaError, Run};

/// A burst of keyframes for many subscribers must fit (the kernel caps it at its own maximum).
const SOCKET_BUFFER: libc::c_int = 8 << 20;

/// Opens a non-blocking UDP socket with large buffers.
pub(crate) fn bind(host: &str, port: u16) -> Result<UdpSocket, MediaError> {
    let refuse = |error: io::Error| {
        MediaError::new(ErrorClass::Transport, "BIND_FAILED", format!("{host}:{port}: {error}"))
    };
    let address = (host, port).to_socket_addrs().map_err(refuse)?.next();
    let address = address.ok_or_else(|| refuse(io::Error::from(io::ErrorKind::NotFound)))?;
    let socket = UdpSocket::bind(address).map_err(refuse)?;
    socket.set_nonblocking(true).map_err(refuse)?;
    let size = SOCKET_BUFFER;
    for option in [libc::SO_RCVBUF, libc::SO_SNDBUF] {
        // SAFETY: the descriptor is open and the value is a c_int of the stated size.
        unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                (&raw const size).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            );
        }
    }
    Ok(socket)
}

/// Sends runs through a socket.
pub(crate) struct SocketEgress<'a> {
    pub(crate) socket: &'a UdpSocket,
    pub(crate) loss: &'a mut ForcedLoss,
    /// Cleared when the kernel or the interface refuses segmentation.
    pub(crate) segmentation: &'a mut bool,
}

impl Egress for SocketEgress<'_> {
    fn send(&mut self, run: Run<'_>) -> bool {
        if self.loss.is_active() {
            return self.send_lossy(run);
        }
        if run.count == 1 || !*self.segmentation {
            return self.send_each(run);
        }
        match send_segmented(self.socket, run) {
            Ok(()) => true,
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::EIO | libc::EINVAL | libc::EOPNOTSUPP)
                ) =>
            {
                *self.segmentation = false;
                self.send_each(run)
            }
            Err(_) => false,
        }
    }
}

impl SocketEgress<'_> {
    fn send_each(&self, run: Run<'_>) -> bool {
        let mut datagrams = run.bytes.chunks(run.segment.max(1));
        datagrams.all(|datagram| self.socket.send_to(datagram, run.destination).is_ok())
    }

    fn send_lossy(&mut self, run: Run<'_>) -> bool {
        for datagram in run.bytes.chunks(run.segment.max(1)) {
            // Handshakes are spared: the loss is for media.
            let is_media = datagram.first().is_some_and(|first| (128..192).contains(first));
            if is_media && self.loss.drops() {
                continue;
            }
            if self.socket.send_to(datagram, run.destination).is_err() {
                return false;
            }
        }
        true
    }
}

/// Drops a share of outgoing media, for tests.
#[derive(Debug)]
pub(crate) struct ForcedLoss {
    share: f64,
    state: u64,
}

impl ForcedLoss {
    pub(crate) fn new(share: f64) -> Self {
        Self { share: share.clamp(0.0, 1.0), state: 0x9e37_79b9_7f4a_7c15 }
    }

    fn is_active(&self) -> bool {
        self.share > 0.0
    }

    fn drops(&mut self) -> bool {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        ((self.state >> 11) as f64 / (1u64 << 53) as f64) < self.share
    }
}

/// One send call whose datagrams the kernel cuts (UDP_SEGMENT).
fn send_segmented(socket: &UdpSocket, run: Run<'_>) -> io::Result<()> {
    let (name, name_length) = to_sockaddr(run.destination);
    let mut vector =
        libc::iovec { iov_base: run.bytes.as_ptr().cast_mut().cast(), iov_len: run.bytes.len() };
    let mut control = [0u64; 4];
    let segment = run.segment as u16;
    // SAFETY: all pointers in the header live until sendmsg returns; `control` is aligned and larger
    // than CMSG_SPACE(2); the kernel only reads through the pointers.
    let sent = unsafe {
        let mut message: libc::msghdr = zeroed();
        message.msg_name = (&raw const name).cast_mut().cast();
        message.msg_namelen = name_length;
        message.msg_iov = &raw mut vector;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(size_of::<u16>() as u32) as _;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_UDP;
        (*header).cmsg_type = libc::UDP_SEGMENT;
        (*header).cmsg_len = libc::CMSG_LEN(size_of::<u16>() as u32) as _;
        libc::CMSG_DATA(header).cast::<u16>().write_unaligned(segment);
        libc::sendmsg(socket.as_raw_fd(), &raw const message, 0)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn to_sockaddr(address: SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: sockaddr_storage is valid as zeroes, large enough and aligned for both families.
    unsafe {
        let mut storage: libc::sockaddr_storage = zeroed();
        let length = match address {
            SocketAddr::V4(v4) => {
                let out = (&raw mut storage).cast::<libc::sockaddr_in>();
                (*out).sin_family = libc::AF_INET as libc::sa_family_t;
                (*out).sin_port = v4.port().to_be();
                (*out).sin_addr.s_addr = u32::from_ne_bytes(v4.ip().octets());
                size_of::<libc::sockaddr_in>()
            }
            SocketAddr::V6(v6) => {
                let out = (&raw mut storage).cast::<libc::sockaddr_in6>();
                (*out).sin6_family = libc::AF_INET6 as libc::sa_family_t;
                (*out).sin6_port = v6.port().to_be();
                (*out).sin6_addr.s6_addr = v6.ip().octets();
                (*out).sin6_flowinfo = v6.flowinfo();
                (*out).sin6_scope_id = v6.scope_id();
                size_of::<libc::sockaddr_in6>()
            }
        };
        (storage, length as libc::socklen_t)
    }
}

/// Wakes the thread that waits in `wait`.
#[derive(Debug)]
pub(crate) struct Waker(OwnedFd);

impl Waker {
    pub(crate) fn new() -> Result<Self, MediaError> {
        // SAFETY: eventfd has no preconditions; a non-negative result is a descriptor that nobody else owns.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if descriptor < 0 {
            let error = io::Error::last_os_error().to_string();
            return Err(MediaError::new(ErrorClass::Transport, "BIND_FAILED", error));
        }
        // SAFETY: see above.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    pub(crate) fn wake(&self) {
        let one = 1u64;
        // SAFETY: the descriptor is open; eight bytes are read from `one`. A full counter wakes as well.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
    }

    fn clear(&self) {
        let mut count = 0u64;
        // SAFETY: the descriptor is open and non-blocking; eight bytes are written to `count`.
        unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) };
    }
}

/// Waits for a datagram, a wake-up or the timeout.
pub(crate) fn wait(socket: &UdpSocket, waker: &Waker, timeout: Duration) {
    let mut polled = [
        libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 },
        libc::pollfd { fd: waker.0.as_raw_fd(), events: libc::POLLIN, revents: 0 },
    ];
    let limit = libc::timespec {
        tv_sec: timeout.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(timeout.subsec_nanos() as i32),
    };
    // SAFETY: the array has two entries and outlives the call; no signal mask is given.
    unsafe { libc::ppoll(polled.as_mut_ptr(), 2, &raw const limit, std::ptr::null()) };
    if polled[1].revents != 0 {
        waker.clear();
    }
}

/// The address that this machine would reach `towards` from.
pub(crate) fn local_address_towards(towards: SocketAddr) -> Option<std::net::IpAddr> {
    let any = if towards.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let probe = UdpSocket::bind(any).ok()?;
    probe.connect(towards).ok()?;
    probe.local_addr().ok().map(|address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_call_with_segmentation_arrives_as_several_datagrams() {
        let receiver = bind("127.0.0.1", 0).unwrap();
        let sender = bind("127.0.0.1", 0).unwrap();
        let bytes: Vec<u8> = (0..250u8).collect();
        let destination = receiver.local_addr().unwrap();
        let run = Run { destination, bytes: &bytes, segment: 100, count: 3 };
        let (mut loss, mut segmentation) = (ForcedLoss::new(0.0), true);
        let mut egress =
            SocketEgress { socket: &sender, loss: &mut loss, segmentation: &mut segmentation };
        assert!(egress.send(run));
        let waker = Waker::new().unwrap();
        let mut sizes = Vec::new();
        let mut buffer = [0; 2000];
        while sizes.len() < 3 {
            wait(&receiver, &waker, Duration::from_secs(2));
            while let Ok((length, _)) = receiver.recv_from(&mut buffer) {
                sizes.push(length);
            }
        }
        assert_eq!(sizes, [100, 100, 50]);
    }

    #[test]
    fn a_waker_ends_a_wait_early() {
        let socket = bind("127.0.0.1", 0).unwrap();
        let waker = Waker::new().unwrap();
        waker.wake();
        let start = std::time::Instant::now();
        wait(&socket, &waker, Duration::from_secs(30));
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_port_in_use_is_refused_with_its_reason() {
        let first = bind("127.0.0.1", 0).unwrap();
        let port = first.local_addr().unwrap().port();
        assert_eq!(bind("127.0.0.1", port).unwrap_err().reason, "BIND_FAILED");
    }
}
