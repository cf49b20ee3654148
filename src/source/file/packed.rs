//! What does a file hold that may be packed?
//!
//! Comes in: a file. Goes out: its bytes, unpacked if its first ones say that gzip, xz or zstd have packed it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek};

use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};
use ruzstd::decoding::StreamingDecoder;

/// The most that is unpacked of one file: far more than any log, and an end to a file that is made to have none.
const MOST_UNPACKED: u64 = 64 << 30;

/// What xz may use to unpack; the highest of its levels needs 65 MiB.
const XZ_MEMORY: u64 = 100 << 20;

/// What has packed a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// gzip
    Gzip,
    /// xz
    Xz,
    /// zstd
    Zstd,
}

impl Packing {
    /// What a file's first bytes say.
    pub fn of(front: &[u8]) -> Option<Self> {
        [
            (Packing::Gzip, &b"\x1f\x8b"[..]),
            (Packing::Xz, b"\xfd7zXZ\0"),
            (Packing::Zstd, b"\x28\xb5\x2f\xfd"),
        ]
        .into_iter()
        .find(|(_, magic)| front.starts_with(magic))
        .map(|(packing, _)| packing)
    }

    /// The bytes that `packed` holds.
    ///
    /// # Errors
    /// It cannot be read, or is not what its first bytes say.
    pub fn unpack(self, packed: File) -> io::Result<Box<dyn Read + Send>> {
        let packed = BufReader::new(packed);
        let bytes: Box<dyn Read + Send> = match self {
            Packing::Gzip => Box::new(MultiGzDecoder::new(packed)),
            Packing::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?;
                Box::new(XzDecoder::new_stream(packed, stream))
            }
            Packing::Zstd => Box::new(Frames::Between(packed)),
        };
        Ok(Box::new(bytes.take(MOST_UNPACKED)))
    }
}

/// The bytes of a log.
pub enum Content {
    /// As they are in the file.
    Plain(File),
    /// Unpacked, which takes far longer than to read them.
    Packed(Box<dyn Read + Send>),
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Content::Plain(file) => file.read(buffer),
            Content::Packed(bytes) => bytes.read(buffer),
        }
    }
}

/// Opens a log that may be packed, from its first line on. The place in `file`, which its duplicates share, tells how
/// much of it has been read.
///
/// # Errors
/// It cannot be read.
pub fn open(mut file: File) -> io::Result<Content> {
    // A pipe cannot be read twice, and nobody packs what goes through one.
    if !file.metadata()?.is_file() {
        return Ok(Content::Plain(file));
    }
    let mut front = Vec::new();
    (&file).take(8).read_to_end(&mut front)?;
    file.rewind()?;
    Ok(match Packing::of(&front) {
        Some(packing) => Content::Packed(packing.unpack(file)?),
        None => Content::Plain(file),
    })
}

/// The frames of zstd one after the other; its decoder knows only one.
enum Frames<R: BufRead> {
    Between(R),
    Inside(Box<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>),
    Broken,
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(self, Frames::Broken) {
                Frames::Between(mut packed) => {
                    if packed.fill_buf()?.is_empty() {
                        *self = Frames::Between(packed);
                        return Ok(0);
                    }
                    let decoder = StreamingDecoder::new(packed)
                        .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
                    *self = Frames::Inside(Box::new(decoder));
                }
                Frames::Inside(mut decoder) => {
                    let read = decoder.read(buffer)?;
                    if read > 0 || buffer.is_empty() {
                        *self = Frames::Inside(decoder);
                        return Ok(read);
                    }
                    *self = Frames::Between(decoder.into_inner());
                }
                Frames::Broken => return Err(ErrorKind::InvalidData.into()),
            }
        }
    }
}
