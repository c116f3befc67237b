//! The messages of rpcx, as bytes and back.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::MAX_MESSAGE;
use crate::registry::Metadata;

/// First byte of every message.
const MAGIC: u8 = 0x08;

/// The only version there is.
const VERSION: u8 = 0;

/// Bytes up to the first field: fixed header, number, length of all fields.
const HEADER_LEN: usize = 16;

const RESPONSE: u8 = 0x80;
const HEARTBEAT: u8 = 0x40;
const ONE_WAY: u8 = 0x20;
const COMPRESSION_SHIFT: u8 = 2;
const COMPRESSION: u8 = 0x7;
const STATUS: u8 = 0x3;
const CODEC_SHIFT: u8 = 4;

/// One message.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Message {
    /// Which way it goes.
    pub kind: Kind,
    /// Whether it only asks for a sign of life, or gives one.
    pub heartbeat: bool,
    /// Whether nobody waits for a response.
    pub one_way: bool,
    /// How the payload is compressed.
    pub compression: Compression,
    /// Whether the call failed; the reason is in the metadata.
    pub failed: bool,
    /// What the payload is encoded by.
    pub codec: Codec,
    /// Number that a response has in common with its request.
    pub number: u64,
    /// Name of the service.
    pub service: String,
    /// Name of the method.
    pub method: String,
    /// Whatever else caller and server tell each other.
    pub metadata: Metadata,
    /// Arguments or result.
    pub payload: Vec<u8>,
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Kind {
    /// A call, or, from a server, a notice.
    #[default]
    Request,
    /// The answer.
    Response,
}

/// How a payload is compressed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// By gzip.
    Gzip,
    /// By something with this number, 2 to 7.
    Other(u8),
}

/// What a payload is encoded by.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Codec {
    /// Not at all.
    Raw,
    /// JSON.
    #[default]
    Json,
    /// Protocol buffers.
    Protobuf,
    /// MessagePack, rpcx's own default.
    MessagePack,
    /// Thrift.
    Thrift,
    /// Something with this number, 5 to 15.
    Other(u8),
}

/// Why bytes are not a message, or a message cannot be sent.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// It begins with another byte.
    #[error("a message begins with 0x08, not {0:#04x}")]
    Magic(u8),
    /// A version that nobody has defined yet.
    #[error("version {0} is unknown")]
    Version(u8),
    /// Longer than what is taken or sent.
    #[error("a message may have {limit} bytes, not {len}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The most that is allowed.
        limit: usize,
    },
    /// A field does not end where its length says, or where the message ends.
    #[error("the length of {0} does not fit")]
    Length(&'static str),
    /// A name is not UTF-8.
    #[error("{0} is not UTF-8")]
    Text(&'static str),
}

impl From<WireError> for io::Error {
    fn from(error: WireError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

impl Message {
    /// The message as bytes.
    ///
    /// # Errors
    /// [`WireError::TooLong`] above [`MAX_MESSAGE`].
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let mut metadata = Vec::new();
        for (key, value) in &self.metadata {
            push_field(&mut metadata, key.as_bytes())?;
            push_field(&mut metadata, value.as_bytes())?;
        }
        let (service, method) = (self.service.as_bytes(), self.method.as_bytes());
        let fields = [service, method, &metadata, &self.payload];
        let length: usize = fields.iter().map(|field| 4 + field.len()).sum();

        let mut bytes = Vec::with_capacity(HEADER_LEN + length);
        bytes.extend([
            MAGIC,
            VERSION,
            self.flags(),
            self.codec.to_bits() << CODEC_SHIFT,
        ]);
        bytes.extend(self.number.to_be_bytes());
        bytes.extend(checked_len(length)?.to_be_bytes());
        for field in fields {
            push_field(&mut bytes, field)?;
        }
        Ok(bytes)
    }

    /// Takes the first message off `bytes`; `None` while it is not complete.
    ///
    /// # Errors
    /// [`WireError`]; what follows cannot be understood either then.
    pub fn decode(bytes: &mut &[u8]) -> Result<Option<Self>, WireError> {
        let Some((header, rest)) = bytes.split_first_chunk() else {
            return Ok(None);
        };
        let length = fields_len(header)?;
        let Some((fields, rest)) = rest.split_at_checked(length) else {
            return Ok(None);
        };
        *bytes = rest;
        Self::from_parts(header, fields).map(Some)
    }

    /// Reads the next message; `None` at the end of the stream. Not cancel safe.
    ///
    /// Memory grows as bytes arrive, whatever length is announced.
    ///
    /// # Errors
    /// Those of the stream; `UnexpectedEof` if it ends within a message; `InvalidData` with a [`WireError`] inside.
    pub async fn read(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let mut header = [0; HEADER_LEN];
        if reader.read(&mut header[..1]).await? == 0 {
            return Ok(None);
        }
        reader.read_exact(&mut header[1..]).await?;
        let length = fields_len(&header)?;
        let mut fields = Vec::new();
        reader.take(length as u64).read_to_end(&mut fields).await?;
        if fields.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(Self::from_parts(&header, &fields)?))
    }

    fn from_parts(header: &[u8; HEADER_LEN], fields: &[u8]) -> Result<Self, WireError> {
        let [_, _, flags, codec, n0, n1, n2, n3, n4, n5, n6, n7, ..] = *header;
        let mut rest = fields;
        let message = Self {
            kind: if flags & RESPONSE == 0 {
                Kind::Request
            } else {
                Kind::Response
            },
            heartbeat: flags & HEARTBEAT != 0,
            one_way: flags & ONE_WAY != 0,
            compression: Compression::from_bits(flags >> COMPRESSION_SHIFT & COMPRESSION),
            failed: flags & STATUS != 0,
            codec: Codec::from_bits(codec >> CODEC_SHIFT),
            number: u64::from_be_bytes([n0, n1, n2, n3, n4, n5, n6, n7]),
            service: take_text(&mut rest, "the service")?,
            method: take_text(&mut rest, "the method")?,
            metadata: metadata(take_field(&mut rest, "the metadata")?)?,
            payload: take_field(&mut rest, "the payload")?.to_vec(),
        };
        if !rest.is_empty() {
            return Err(WireError::Length("the message"));
        }
        Ok(message)
    }

    fn flags(&self) -> u8 {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        flag(self.kind == Kind::Response, RESPONSE)
            | flag(self.heartbeat, HEARTBEAT)
            | flag(self.one_way, ONE_WAY)
            | (self.compression.to_bits() & COMPRESSION) << COMPRESSION_SHIFT
            | u8::from(self.failed)
    }
}

impl Compression {
    fn from_bits(bits: u8) -> Self {
        match bits {
            0 => Self::None,
            1 => Self::Gzip,
            other => Self::Other(other),
        }
    }

    fn to_bits(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Other(bits) => bits,
        }
    }
}

impl Codec {
    fn from_bits(bits: u8) -> Self {
        match bits {
            0 => Self::Raw,
            1 => Self::Json,
            2 => Self::Protobuf,
            3 => Self::MessagePack,
            4 => Self::Thrift,
            other => Self::Other(other),
        }
    }

    fn to_bits(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::Json => 1,
            Self::Protobuf => 2,
            Self::MessagePack => 3,
            Self::Thrift => 4,
            Self::Other(bits) => bits,
        }
    }
}

/// Length of all fields together, from a header that is sound.
fn fields_len(header: &[u8; HEADER_LEN]) -> Result<usize, WireError> {
    let [magic, version, .., l0, l1, l2, l3] = *header;
    if magic != MAGIC {
        return Err(WireError::Magic(magic));
    }
    if version != VERSION {
        return Err(WireError::Version(version));
    }
    let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
    checked_len(length)?;
    Ok(length)
}

fn checked_len(len: usize) -> Result<u32, WireError> {
    let limit = MAX_MESSAGE;
    let fits = u32::try_from(len).ok().filter(|_| len <= limit);
    fits.ok_or(WireError::TooLong { len, limit })
}

fn push_field(bytes: &mut Vec<u8>, field: &[u8]) -> Result<(), WireError> {
    bytes.extend(checked_len(field.len())?.to_be_bytes());
    bytes.extend(field);
    Ok(())
}

fn take_field<'a>(rest: &mut &'a [u8], what: &'static str) -> Result<&'a [u8], WireError> {
    let (len, behind) = rest.split_first_chunk().ok_or(WireError::Length(what))?;
    let len = u32::from_be_bytes(*len) as usize;
    let (field, behind) = behind
        .split_at_checked(len)
        .ok_or(WireError::Length(what))?;
    *rest = behind;
    Ok(field)
}

fn take_text(rest: &mut &[u8], what: &'static str) -> Result<String, WireError> {
    let text = str::from_utf8(take_field(rest, what)?);
    Ok(text.map_err(|_| WireError::Text(what))?.to_owned())
}

fn metadata(mut bytes: &[u8]) -> Result<Metadata, WireError> {
    let mut metadata = Metadata::new();
    while !bytes.is_empty() {
        let key = take_text(&mut bytes, "a key of the metadata")?;
        metadata.insert(key, take_text(&mut bytes, "a value of the metadata")?);
    }
    Ok(metadata)
}
