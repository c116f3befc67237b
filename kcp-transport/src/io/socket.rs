//! What datagrams travel by: the kernel's UDP with segmentation offload, or anything else that carries them.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;

use crate::config::Config;
use crate::proto::Transmit;

/// Buffers that one receive call may fill.
pub(crate) const RECEIVE_SLOTS: usize = 16;

/// Bytes of one: as many datagrams as the kernel may join.
const SLOT_LEN: usize = 64 * 1024;

/// One call receives as many datagrams as there are, and slots for them.
const TAKES_ALL: bool = cfg!(target_os = "linux");

/// Where received datagrams of one peer go: back to back, `stride` bytes each but for the last.
pub struct ReceiveSlot {
    /// The bytes; only the first `len` count.
    pub buffer: Box<[u8]>,
    /// Bytes received.
    pub len: usize,
    /// Length of each datagram but the last.
    pub stride: usize,
    /// Who sent them.
    pub peer: SocketAddr,
}

impl ReceiveSlot {
    /// An empty slot of 64 KiB.
    pub fn new() -> Self {
        Self {
            buffer: vec![0; SLOT_LEN].into_boxed_slice(),
            len: 0,
            stride: 0,
            peer: SocketAddr::from(([0, 0, 0, 0], 0)),
        }
    }

    /// Fills the slot with a single datagram; a longer one than the slot is cut.
    pub fn put(&mut self, peer: SocketAddr, datagram: &[u8]) {
        self.len = datagram.len().min(self.buffer.len());
        self.stride = self.len;
        self.buffer[..self.len].copy_from_slice(&datagram[..self.len]);
        self.peer = peer;
    }
}

impl Default for ReceiveSlot {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ReceiveSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ReceiveSlot({} bytes of {} from {})",
            self.len, self.stride, self.peer
        )
    }
}

/// Something that carries datagrams: kcp-go's `net.PacketConn`.
///
/// Datagrams may get lost, reordered and duplicated; what arrives corrupted is noticed by the cipher's check only.
pub trait DatagramSocket: Send + 'static {
    /// Receives into at least one of `slots`, or says that there is nothing, without waiting and without asking to be
    /// woken. Returns how many slots were filled.
    ///
    /// # Errors
    /// `WouldBlock` if there is nothing. Any other error ends the endpoint.
    fn try_recv(&mut self, slots: &mut [ReceiveSlot]) -> io::Result<usize>;

    /// As [`try_recv`](Self::try_recv), but the task is woken once there is something.
    ///
    /// # Errors
    /// Any error ends the endpoint.
    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        slots: &mut [ReceiveSlot],
    ) -> Poll<io::Result<usize>>;

    /// Sends, or waits for room.
    ///
    /// # Errors
    /// An error means that these datagrams are lost, nothing more.
    fn poll_send(&mut self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<()>>;

    /// The address that peers see, as far as it is known.
    ///
    /// # Errors
    /// Whatever the system says.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Packets that one send may carry. Default 1.
    fn max_run(&self) -> usize {
        1
    }
}

impl<S: DatagramSocket + ?Sized> DatagramSocket for Box<S> {
    fn try_recv(&mut self, slots: &mut [ReceiveSlot]) -> io::Result<usize> {
        (**self).try_recv(slots)
    }

    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        slots: &mut [ReceiveSlot],
    ) -> Poll<io::Result<usize>> {
        (**self).poll_recv(cx, slots)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<()>> {
        (**self).poll_send(cx, transmit)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        (**self).local_addr()
    }

    fn max_run(&self) -> usize {
        (**self).max_run()
    }
}

/// The kernel's UDP, with segmentation and receive offload where it has them.
#[derive(Debug)]
pub struct UdpSocket {
    io: tokio::net::UdpSocket,
    state: UdpSocketState,
    /// The kernel's own default for outgoing packets would be overridden by `quinn-udp`, which sets the ECN bits of
    /// every packet and with them the code point.
    marked: bool,
}

impl UdpSocket {
    /// Binds a socket with the buffer sizes and the code point of `config`. `shared`: others may bind the same address,
    /// and the kernel spreads peers over them.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn bind(addr: SocketAddr, config: &Config, shared: bool) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
        if shared {
            socket.set_reuse_port(true)?;
        }
        if addr.is_ipv6() && addr.ip().is_unspecified() {
            // Where the system cannot carry both families on one socket, IPv6 alone is served.
            let _ = socket.set_only_v6(false);
        }
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        Self::from_std(socket.into(), config)
    }

    /// Takes over a bound socket.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn from_std(socket: std::net::UdpSocket, config: &Config) -> io::Result<Self> {
        let options = SockRef::from(&socket);
        // The system grants what it allows; a smaller buffer costs speed only.
        let _ = options.set_recv_buffer_size(config.socket_buffer);
        let _ = options.set_send_buffer_size(config.socket_buffer);
        if config.dscp > 0 {
            let class = u32::from(config.dscp) << 2;
            if socket.local_addr()?.is_ipv4() {
                options.set_tos_v4(class)?;
            } else {
                options.set_tclass_v6(class)?;
            }
        }
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let io = tokio::net::UdpSocket::from_std(socket)?;
        Ok(Self {
            io,
            state,
            marked: config.dscp > 0,
        })
    }

    fn recv(&self, slots: &mut [ReceiveSlot]) -> io::Result<usize> {
        let count = slots.len().min(RECEIVE_SLOTS);
        let mut metas = [RecvMeta::default(); RECEIVE_SLOTS];
        let mut slices = slots[..count].iter_mut();
        let mut buffers: [IoSliceMut<'_>; RECEIVE_SLOTS] = std::array::from_fn(|_| {
            IoSliceMut::new(slices.next().map_or(&mut [], |slot| &mut slot.buffer))
        });
        let received = self.state.recv(
            UdpSockRef::from(&self.io),
            &mut buffers[..count],
            &mut metas[..count],
        )?;
        for (slot, meta) in slots.iter_mut().zip(&metas[..received]) {
            slot.len = meta.len;
            slot.stride = meta.stride;
            slot.peer = meta.addr;
        }
        Ok(received)
    }

    fn send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if self.marked {
            return send_marked(&self.io, transmit);
        }
        let single = transmit.contents.len() <= transmit.segment_size;
        let transmit = quinn_udp::Transmit {
            destination: transmit.destination,
            ecn: None,
            contents: transmit.contents,
            segment_size: (!single).then_some(transmit.segment_size),
            src_ip: None,
        };
        self.state.try_send(UdpSockRef::from(&self.io), &transmit)
    }
}

/// Sends with the socket's own code point.
#[cfg(target_os = "linux")]
fn send_marked(socket: &tokio::net::UdpSocket, transmit: &Transmit<'_>) -> io::Result<()> {
    use std::io::IoSlice;
    use std::os::fd::AsRawFd as _;

    use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};

    let contents = [IoSlice::new(transmit.contents)];
    let segment_size = transmit.segment_size as u16;
    let offload = [ControlMessage::UdpGsoSegments(&segment_size)];
    let single = transmit.contents.len() <= transmit.segment_size;
    let control = if single { &[][..] } else { &offload[..] };
    let destination = SockaddrStorage::from(transmit.destination);
    sendmsg(
        socket.as_raw_fd(),
        &contents,
        control,
        MsgFlags::empty(),
        Some(&destination),
    )?;
    Ok(())
}

/// Sends with the socket's own code point.
#[cfg(not(target_os = "linux"))]
fn send_marked(socket: &tokio::net::UdpSocket, transmit: &Transmit<'_>) -> io::Result<()> {
    let destination = transmit.destination.into();
    for datagram in transmit.contents.chunks(transmit.segment_size) {
        SockRef::from(socket).send_to(datagram, &destination)?;
    }
    Ok(())
}

/// Errors that only report the fate of an earlier datagram.
fn is_report(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::Interrupted
    )
}

impl DatagramSocket for UdpSocket {
    fn try_recv(&mut self, slots: &mut [ReceiveSlot]) -> io::Result<usize> {
        loop {
            match self.recv(slots) {
                Err(error) if is_report(&error) => {}
                result => return result,
            }
        }
    }

    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        slots: &mut [ReceiveSlot],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.io.poll_recv_ready(cx))?;
            let mut drained = None;
            let result = self.io.try_io(Interest::READABLE, || {
                let filled = self.recv(slots)?;
                if filled < slots.len() && TAKES_ALL {
                    // Nothing is left: to ask again would be a call in vain.
                    drained = Some(filled);
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(filled)
            });
            if let Some(filled) = drained {
                return Poll::Ready(Ok(filled));
            }
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock || is_report(&error) => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.io.poll_send_ready(cx))?;
            match self.io.try_io(Interest::WRITABLE, || self.send(transmit)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    fn max_run(&self) -> usize {
        self.state.max_gso_segments()
    }
}
