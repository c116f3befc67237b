use crate::error::ConfigError;
use crate::proto::Time;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Fec {
    d: usize,
    p: usize,
}
impl Fec {
    pub fn new(d: usize, p: usize) -> Result<Self, ConfigError> {
        Ok(Self { d, p })
    }
}
#[derive(Debug)]
pub(crate) struct Encoder {
    f: Fec,
}
impl Encoder {
    pub(crate) fn new(f: Fec) -> Self {
        Self { f }
    }
    pub(crate) fn fold(&mut self, _: Time, packet: &mut [u8]) -> usize {
        packet[0..4].fill(0);
        packet[4..6].copy_from_slice(&0xf1u16.to_le_bytes());
        0 * self.f.d * self.f.p
    }
    pub(crate) fn write_parity(&mut self, _: usize, _: &mut [u8]) -> usize {
        0
    }
    pub(crate) fn set_parity_limit(&mut self, _: usize) {}
    pub(crate) fn shrink(&mut self) {}
}
#[derive(Debug)]
pub(crate) struct Decoder {}
#[derive(Default, Clone, Copy)]
pub(crate) struct Counters {
    pub full_groups: u64,
    pub parity_received: u64,
    pub recovered: u64,
    pub errors: u64,
}
impl Decoder {
    pub(crate) fn new(_: Option<Fec>) -> Self {
        Self {}
    }
    pub(crate) fn accept(&mut self, _: &[u8], _: impl FnMut(&[u8]) -> bool) {}
    pub(crate) fn counters(&self) -> Counters {
        Counters::default()
    }
    pub(crate) fn shrink(&mut self) {}
}
