//! A UDP socket that moves many datagrams per system call, where the kernel can.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::task::{Context, Poll};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A socket in non-blocking mode, driven by tokio.
#[derive(Debug)]
pub(super) struct BatchSocket {
    io: UdpSocket,
    state: UdpSocketState,
}

impl BatchSocket {
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
        socket.set_recv_buffer_size(KERNEL_BUFFER)?;
        socket.set_send_buffer_size(KERNEL_BUFFER)?;
        socket.bind(&address.into())?;
        socket.set_nonblocking(true)?;
        let io = UdpSocket::from_std(socket.into())?;
        let state = UdpSocketState::new(UdpSockRef::from(&io))?;
        Ok(Self { io, state })
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        // An error shows again, as one, when we receive.
        self.io.poll_recv_ready(cx).map(drop)
    }

    /// Receives what one system call gives; `false` when nothing is left.
    pub(super) fn receive(
        &self,
        scratch: &mut Scratch,
        mut each: impl FnMut(SocketAddr, &[u8]),
    ) -> io::Result<bool> {
        let received = self.io.try_io(Interest::READABLE, || {
            let mut buffers = scratch.bytes.chunks_exact_mut(LONGEST);
            let mut slices: [IoSliceMut<'_>; BATCH_SIZE] = std::array::from_fn(|_| {
                IoSliceMut::new(buffers.next().expect("scratch holds a whole batch"))
            });
            self.state
                .recv(UdpSockRef::from(&self.io), &mut slices, &mut scratch.meta)
        });
        let count = match received {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        for (meta, buffer) in scratch.meta[..count]
            .iter()
            .zip(scratch.bytes.chunks_exact(LONGEST))
        {
            let bytes = &buffer[..meta.len];
            if bytes.is_empty() {
                each(meta.addr, bytes);
            } else {
                bytes
                    .chunks(meta.stride)
                    .for_each(|datagram| each(meta.addr, datagram));
            }
        }
        Ok(true)
    }

    /// Sends the datagrams of a train; returns how many the kernel refused.
    pub(super) fn send(&self, to: SocketAddr, train: &Train) -> u64 {
        if train.count > 1 && self.transmit(to, &train.bytes, Some(train.segment)).is_ok() {
            return 0;
        }
        // A single datagram, or no segmentation offload for datagrams of this length.
        let refused = |datagram: &&[u8]| self.transmit(to, datagram, None).is_err();
        train.datagrams().filter(refused).count() as u64
    }

    fn transmit(
        &self,
        destination: SocketAddr,
        contents: &[u8],
        segment_size: Option<usize>,
    ) -> io::Result<()> {
        let transmit = Transmit {
            destination,
            ecn: None,
            contents,
            segment_size,
            src_ip: None,
        };
        self.state.try_send(UdpSockRef::from(&self.io), &transmit)
    }

    /// Most datagrams in a train.
    fn longest_train(&self) -> usize {
        self.state.max_gso_segments()
    }
}

/// Room for a batch of received datagrams.
pub(super) struct Scratch {
    bytes: Vec<u8>,
    meta: [RecvMeta; BATCH_SIZE],
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            bytes: vec![0; BATCH_SIZE * LONGEST],
            meta: [RecvMeta::default(); BATCH_SIZE],
        }
    }
}

/// Datagrams for one receiver, back to back: all of one length, but for a shorter last one.
#[derive(Debug, Default)]
pub(super) struct Train {
    bytes: Vec<u8>,
    segment: usize,
    count: usize,
}

impl Train {
    /// Whether `packet` can join, if `socket` is to send it.
    pub(super) fn takes(&self, packet: &[u8], socket: &BatchSocket) -> bool {
        let full = self.count * self.segment == self.bytes.len();
        self.count == 0
            || (full
                && (1..=self.segment).contains(&packet.len())
                && self.count < socket.longest_train()
                && self.bytes.len() + packet.len() <= LONGEST_TRAIN)
    }

    pub(super) fn push(&mut self, packet: &[u8]) {
        if self.count == 0 {
            self.segment = packet.len();
        }
        self.bytes.extend_from_slice(packet);
        self.count += 1;
    }

    fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.count).map(|n| {
            let start = n * self.segment;
            &self.bytes[start..self.bytes.len().min(start + self.segment)]
        })
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }
}

/// Kernel buffer asked for, each way, in bytes: 30 ms at 1 Gbit/s. The kernel may give less.
const KERNEL_BUFFER: usize = 4 << 20;

/// Longest datagram, and longest train of datagrams, that the kernel hands over at once.
const LONGEST: usize = 1 << 16;

/// Most bytes in a train: what fits one IP packet, headers apart.
const LONGEST_TRAIN: usize = 65_000;
