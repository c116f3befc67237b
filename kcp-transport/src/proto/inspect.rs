//! What benchmarks and fuzz targets need to reach: packets of segments without a session.

use super::arq::segment::{Command, HEADER_LEN, Header, Segments, tiles_exactly};
use super::arq::seq::{Seq, TransmissionId};
use super::layout::PacketWriter;
use super::packet::{Inner, Packet};

/// Fills `packet` with data segments of `len` bytes each; returns how many found room.
pub fn write_segments(packet: &mut [u8], len: usize) -> u32 {
    let mut writer = PacketWriter::new(packet);
    let mut count = 0;
    while writer.room() >= HEADER_LEN + len {
        writer.put(&Header {
            conv: 1,
            command: Command::Push,
            fragments_after: 0,
            window: 1_024,
            transmission: TransmissionId(count),
            sn: Seq(count),
            una: Seq(0),
            len: len as u32,
        });
        count += 1;
    }
    count
}

/// Reads a packet of segments; returns how many there are and how many bytes of data they carry.
pub fn read_segments(packet: &[u8]) -> (usize, usize) {
    Segments::new(packet)
        .filter_map(Result::ok)
        .fold((0, 0), |(count, len), (_, data)| {
            (count + 1, len + data.len())
        })
}

/// Reads the segments of `packet` and writes them again. Returns what was written, and whether they tile the packet.
pub fn rewrite_segments(packet: &[u8]) -> (Vec<u8>, bool) {
    let mut copy = vec![0; packet.len()];
    let mut writer = PacketWriter::new(&mut copy);
    for (header, data) in Segments::new(packet).filter_map(Result::ok) {
        writer.put(&header).copy_from_slice(data);
    }
    let len = writer.len();
    copy.truncate(len);
    (copy, tiles_exactly(packet, |_| true))
}

/// What an opened datagram is taken for: the segments or the message in it, its conversation, and whether it may open
/// a session and begins one. `None` if it is discarded.
pub fn demultiplex(bytes: &[u8]) -> Option<(&[u8], Option<u32>, bool, bool)> {
    let packet = Packet::read(bytes)?;
    let content = match packet.inner {
        Inner::Segments(content) | Inner::Protected(content) | Inner::OutOfBand(content) => content,
        Inner::Parity => &[],
    };
    Some((
        content,
        packet.conv(),
        packet.may_open_session(1_024),
        packet.begins_conversation(),
    ))
}
